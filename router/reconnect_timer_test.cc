#include "router/reconnect_timer.h"

#include <gtest/gtest.h>

namespace blockserve {
namespace {

constexpr uint64_t kMiddle = uint64_t{1} << 63;  // no jitter
constexpr absl::Time kStart = absl::UnixEpoch();

ReconnectOptions Options() {
  ReconnectOptions options;
  options.backoff = {absl::Milliseconds(100), absl::Milliseconds(400)};
  return options;
}

TEST(ReconnectTimerTest, IsDueAtOnceAndThenWaitsLongerEachTime) {
  ReconnectTimer timer(Options());
  absl::Time now = kStart;
  EXPECT_TRUE(timer.IsDue(now));
  for (int ms : {100, 200, 400, 400}) {
    timer.OnStarted(now);
    timer.OnEnded(now, kMiddle);
    EXPECT_FALSE(timer.IsDue(now + absl::Milliseconds(ms - 1)));
    now += absl::Milliseconds(ms);
    EXPECT_TRUE(timer.IsDue(now)) << ms;
  }
}

TEST(ReconnectTimerTest, SteadySessionStartsTheWaitsAnew) {
  ReconnectTimer timer(Options());
  for (int i = 0; i < 2; ++i) {
    timer.OnStarted(kStart);
    timer.OnEnded(kStart, kMiddle);
  }
  timer.OnStarted(kStart);
  const absl::Time end = kStart + absl::Seconds(5);
  timer.OnEnded(end, kMiddle);
  EXPECT_TRUE(timer.IsDue(end + absl::Milliseconds(100)));
}

TEST(ReconnectTimerTest, CrashLoopDoesNot) {
  ReconnectTimer timer(Options());
  for (int i = 0; i < 2; ++i) {
    timer.OnStarted(kStart);
    timer.OnEnded(kStart, kMiddle);
  }
  timer.OnStarted(kStart);
  const absl::Time end = kStart + absl::Seconds(4);
  timer.OnEnded(end, kMiddle);
  EXPECT_FALSE(timer.IsDue(end + absl::Milliseconds(399)));
}

}  // namespace
}  // namespace blockserve
