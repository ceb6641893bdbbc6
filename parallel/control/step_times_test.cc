#include "parallel/control/step_times.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace blockserve {
namespace {

using absl::Milliseconds;

// Steps in which every rank works its time and waits for the slowest.
void RunSteps(StepTimes& times, const std::vector<absl::Duration>& work,
              int count) {
  const absl::Duration slowest = *std::max_element(work.begin(), work.end());
  for (int step = 0; step < count; ++step) {
    for (size_t rank = 0; rank < work.size(); ++rank) {
      StepReport report;
      report.step_time = slowest + Milliseconds(2);
      report.collective_time = report.step_time - work[rank];
      times.Add(static_cast<int>(rank), report);
    }
  }
}

TEST(StepTimesTest, NamesTheRankThatOthersWaitFor) {
  StepTimes times(3);
  RunSteps(times, {Milliseconds(4), Milliseconds(7), Milliseconds(4)}, 32);
  EXPECT_EQ(times.Straggler(), 1);
}

TEST(StepTimesTest, NamesTheSlowOneOfTwo) {
  StepTimes times(2);
  RunSteps(times, {Milliseconds(7), Milliseconds(4)}, 32);
  EXPECT_EQ(times.Straggler(), 0);
}

TEST(StepTimesTest, EvenRanksAreNoStragglers) {
  StepTimes times(3);
  RunSteps(times, {Milliseconds(4), Milliseconds(5), Milliseconds(6)}, 32);
  EXPECT_EQ(times.Straggler(), -1);
}

TEST(StepTimesTest, ShortStepsNameNobody) {
  StepTimes times(2);
  RunSteps(times, {absl::Microseconds(100), absl::Microseconds(900)}, 32);
  EXPECT_EQ(times.Straggler(), -1);
}

TEST(StepTimesTest, FewStepsNameNobody) {
  StepTimes times(2);
  RunSteps(times, {Milliseconds(1), Milliseconds(9)},
           StepTimes::kMinSamples - 1);
  EXPECT_EQ(times.Straggler(), -1);
  RunSteps(times, {Milliseconds(1), Milliseconds(9)}, 1);
  EXPECT_EQ(times.Straggler(), 1);
}

TEST(StepTimesTest, ForgetsStepsOutsideTheWindow) {
  StepTimes times(2);
  RunSteps(times, {Milliseconds(1), Milliseconds(9)}, 32);
  ASSERT_EQ(times.Straggler(), 1);
  RunSteps(times, {Milliseconds(4), Milliseconds(4)}, StepTimes::kWindow);
  EXPECT_EQ(times.Straggler(), -1);
}

// A rank that is frozen now and then is slow in few of its steps.
TEST(StepTimesTest, NamesARankThatIsHeldUpNowAndThen) {
  StepTimes times(2);
  for (int i = 0; i < 8; ++i) {
    RunSteps(times, {Milliseconds(4), Milliseconds(4)}, 3);
    RunSteps(times, {Milliseconds(4), Milliseconds(50)}, 1);
  }
  EXPECT_EQ(times.Straggler(), 1);
}

TEST(StepTimesTest, AveragesMove) {
  StepTimes times(1);
  RunSteps(times, {Milliseconds(8)}, 1);
  EXPECT_EQ(times.step_time(0), Milliseconds(10));
  EXPECT_EQ(times.collective_time(0), Milliseconds(2));
  RunSteps(times, {Milliseconds(16)}, 1);
  EXPECT_EQ(times.step_time(0), Milliseconds(11));
  times.Reset(0);
  EXPECT_EQ(times.step_time(0), absl::ZeroDuration());
}

}  // namespace
}  // namespace blockserve
