#include "runtime/bench/serve/arrival_schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace blockserve {
namespace {

struct GapMoments {
  double mean = 0;
  double variation = 0;  // standard deviation over mean
};

GapMoments MomentsOf(const std::vector<absl::Duration>& arrivals) {
  double sum = 0;
  double squares = 0;
  for (size_t i = 1; i < arrivals.size(); ++i) {
    const double gap = absl::ToDoubleSeconds(arrivals[i] - arrivals[i - 1]);
    sum += gap;
    squares += gap * gap;
  }
  const double count = static_cast<double>(arrivals.size()) - 1;
  const double mean = sum / count;
  return {mean, std::sqrt(squares / count - mean * mean) / mean};
}

TEST(ArrivalScheduleTest, BeginsAtOnceAndGoesForward) {
  const auto arrivals = ScheduleArrivals({.rate = 50, .seed = 7}, 1000);
  ASSERT_EQ(arrivals.size(), 1000u);
  EXPECT_EQ(arrivals[0], absl::ZeroDuration());
  EXPECT_TRUE(std::is_sorted(arrivals.begin(), arrivals.end()));
}

TEST(ArrivalScheduleTest, KeepsTheRateWhateverTheBurstiness) {
  // The coefficient of variation of a gamma distribution is 1 / sqrt(shape).
  for (const double burstiness : {0.25, 1.0, 4.0}) {
    const GapMoments moments = MomentsOf(ScheduleArrivals(
        {.rate = 200, .burstiness = burstiness, .seed = 3}, 100'000));
    EXPECT_NEAR(moments.mean, 1.0 / 200, 0.03 / 200) << burstiness;
    EXPECT_NEAR(moments.variation, 1 / std::sqrt(burstiness), 0.05)
        << burstiness;
  }
}

TEST(ArrivalScheduleTest, DependsOnTheSeedOnly) {
  const ArrivalOptions options = {.rate = 10, .burstiness = 0.5, .seed = 1};
  ArrivalOptions other = options;
  other.seed = 2;
  const auto arrivals = ScheduleArrivals(options, 100);
  EXPECT_EQ(ScheduleArrivals(options, 100), arrivals);
  EXPECT_NE(ScheduleArrivals(other, 100), arrivals);
  const auto fewer = ScheduleArrivals(options, 10);
  EXPECT_TRUE(std::equal(fewer.begin(), fewer.end(), arrivals.begin()));
}

}  // namespace
}  // namespace blockserve
