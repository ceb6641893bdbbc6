#include "parallel/control/live_epoch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace blockserve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const absl::Time kStart = absl::UnixEpoch();

absl::Time At(double seconds) { return kStart + absl::Seconds(seconds); }

LiveEpoch MakeEpoch() {
  LiveEpoch::Limits limits;
  limits.world_size = 2;
  limits.step_timeout = absl::Seconds(2);
  limits.exchange_timeout = absl::Seconds(5);
  limits.max_plans_in_flight = 3;
  return LiveEpoch(7, limits, kStart);
}

TEST(LiveEpochTest, NumbersPlansFromOne) {
  LiveEpoch epoch = MakeEpoch();
  EXPECT_EQ(*epoch.AddPlan(At(0)), 1u);
  EXPECT_EQ(*epoch.AddPlan(At(0)), 2u);
}

TEST(LiveEpochTest, NobodyIsLateWithoutAPlan) {
  LiveEpoch epoch = MakeEpoch();
  EXPECT_THAT(epoch.LateRanks(At(100)), IsEmpty());
  EXPECT_EQ(epoch.NextDeadline(), absl::InfiniteFuture());
}

TEST(LiveEpochTest, ARankIsLateStepTimeoutAfterThePlan) {
  LiveEpoch epoch = MakeEpoch();
  ASSERT_TRUE(epoch.AddPlan(At(10)).ok());
  EXPECT_EQ(epoch.NextDeadline(), At(12));
  ASSERT_TRUE(epoch.Report(0, 1, At(11)).ok());
  EXPECT_THAT(epoch.LateRanks(At(11.9)), IsEmpty());
  EXPECT_THAT(epoch.LateRanks(At(12)), ElementsAre(1));
  ASSERT_TRUE(epoch.Report(1, 1, At(12)).ok());
  EXPECT_THAT(epoch.LateRanks(At(100)), IsEmpty());
}

// Plan 2 was made while step 1 ran: its time begins when step 1 is done.
TEST(LiveEpochTest, PlanningAheadDoesNotShortenAStep) {
  LiveEpoch epoch = MakeEpoch();
  ASSERT_TRUE(epoch.AddPlan(At(0)).ok());
  ASSERT_TRUE(epoch.AddPlan(At(0)).ok());
  ASSERT_TRUE(epoch.Report(0, 1, At(1.5)).ok());
  ASSERT_TRUE(epoch.Report(1, 1, At(1.5)).ok());
  EXPECT_THAT(epoch.LateRanks(At(3.4)), IsEmpty());
  EXPECT_THAT(epoch.LateRanks(At(3.5)), ElementsAre(0, 1));
}

TEST(LiveEpochTest, RefusesPlansThatARankDoesNotKeepUpWith) {
  LiveEpoch epoch = MakeEpoch();
  for (uint64_t step = 1; step <= 3; ++step) {
    ASSERT_TRUE(epoch.AddPlan(At(0)).ok());
    ASSERT_TRUE(epoch.Report(0, step, At(0)).ok());
  }
  const auto refused = epoch.AddPlan(At(0));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("rank 1"));
  ASSERT_TRUE(epoch.Report(1, 1, At(0)).ok());
  EXPECT_EQ(*epoch.AddPlan(At(0)), 4u);
}

TEST(LiveEpochTest, RefusesReportsOfStepsThatWereNotPlanned) {
  LiveEpoch epoch = MakeEpoch();
  ASSERT_TRUE(epoch.AddPlan(At(0)).ok());
  EXPECT_EQ(epoch.Report(1, 2, At(0)).code(), absl::StatusCode::kInternal);
  ASSERT_TRUE(epoch.Report(1, 1, At(0)).ok());
  EXPECT_EQ(epoch.Report(1, 1, At(0)).code(), absl::StatusCode::kInternal);
}

TEST(LiveEpochTest, ExchangesBlobsInOrderOfCalls) {
  LiveEpoch epoch = MakeEpoch();
  EXPECT_FALSE(epoch.AddBlob(1, "b1", At(0)));
  EXPECT_FALSE(epoch.AddBlob(1, "b2", At(0)));
  EXPECT_THAT(*epoch.AddBlob(0, "a1", At(0)), ElementsAre("a1", "b1"));
  EXPECT_THAT(*epoch.AddBlob(0, "a2", At(0)), ElementsAre("a2", "b2"));
  EXPECT_EQ(epoch.num_exchanges(), 2u);
}

TEST(LiveEpochTest, ARankIsLateForAnExchange) {
  LiveEpoch epoch = MakeEpoch();
  epoch.AddBlob(1, "b", At(1));
  EXPECT_THAT(epoch.LateRanks(At(5.9)), IsEmpty());
  EXPECT_EQ(epoch.NextDeadline(), At(6));
  EXPECT_THAT(epoch.LateRanks(At(6)), ElementsAre(0));
  epoch.AddBlob(0, "a", At(6));
  EXPECT_THAT(epoch.LateRanks(At(100)), IsEmpty());
}

}  // namespace
}  // namespace blockserve
