#include "router/backoff.h"

#include <gtest/gtest.h>

#include <limits>

namespace blockserve {
namespace {

TEST(BackoffTest, DoublesUpToTheLimitAndResets) {
  Backoff backoff({absl::Milliseconds(50), absl::Milliseconds(300)});
  constexpr uint64_t kMiddle = uint64_t{1} << 63;
  EXPECT_EQ(backoff.Next(kMiddle), absl::Milliseconds(50));
  EXPECT_EQ(backoff.Next(kMiddle), absl::Milliseconds(100));
  EXPECT_EQ(backoff.Next(kMiddle), absl::Milliseconds(200));
  EXPECT_EQ(backoff.Next(kMiddle), absl::Milliseconds(300));
  EXPECT_EQ(backoff.Next(kMiddle), absl::Milliseconds(300));
  backoff.Reset();
  EXPECT_EQ(backoff.Next(kMiddle), absl::Milliseconds(50));
}

TEST(BackoffTest, JitterStaysWithinTenPercent) {
  Backoff low({absl::Milliseconds(100), absl::Seconds(1)});
  Backoff high({absl::Milliseconds(100), absl::Seconds(1)});
  EXPECT_EQ(low.Next(0), absl::Milliseconds(90));
  const absl::Duration wait = high.Next(std::numeric_limits<uint64_t>::max());
  EXPECT_GT(wait, absl::Milliseconds(109));
  EXPECT_LE(wait, absl::Milliseconds(110));
}

}  // namespace
}  // namespace blockserve
