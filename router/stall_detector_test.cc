#include "router/stall_detector.h"

#include <gtest/gtest.h>

namespace blockserve {
namespace {

constexpr absl::Time kStart = absl::UnixEpoch();
constexpr absl::Duration kSecond = absl::Seconds(1);

worker::v1::WatchLoadResponse Load(
    int running, uint64_t steps,
    worker::v1::WorkerState state = worker::v1::WORKER_STATE_SERVING) {
  worker::v1::WatchLoadResponse load;
  load.set_state(state);
  load.set_running_count(running);
  load.set_step_count(steps);
  return load;
}

class StallDetectorTest : public testing::Test {
 protected:
  void SetUp() override { detector_.OnConnected(kStart); }
  bool IsStalled(double seconds) {
    return !detector_.Check(kStart + seconds * kSecond).ok();
  }
  // Loads every half second in (begin, end].
  void LoadsUntil(double begin, double end, int running, uint64_t steps) {
    for (double t = begin + 0.5; t <= end; t += 0.5) {
      detector_.OnLoad(Load(running, steps), kStart + t * kSecond);
    }
  }

  StallDetector detector_{2 * kSecond};
};

TEST_F(StallDetectorTest, ExpectsTheFirstLoadInTime) {
  EXPECT_FALSE(IsStalled(1.9));
  EXPECT_TRUE(IsStalled(2));
}

TEST_F(StallDetectorTest, SilenceOfAnIdleWorkerIsAStall) {
  LoadsUntil(0, 10, /*running=*/0, /*steps=*/5);
  EXPECT_FALSE(IsStalled(11.9));
  EXPECT_TRUE(IsStalled(12));
}

TEST_F(StallDetectorTest, IdleWorkerNeedNotStep) {
  LoadsUntil(0, 60, /*running=*/0, /*steps=*/5);
  EXPECT_FALSE(IsStalled(60.5));
}

TEST_F(StallDetectorTest, RequestsWithoutStepsAreAStallThoughLoadsCome) {
  LoadsUntil(0, 10, 0, 5);
  LoadsUntil(10, 11, 1, 6);  // counted from 10.5
  EXPECT_FALSE(IsStalled(11.4));
  LoadsUntil(11, 12.5, 1, 6);
  EXPECT_TRUE(IsStalled(12.5));
  EXPECT_EQ(detector_.Check(kStart + 12.5 * kSecond).message(),
            "the worker has requests and makes no step");
}

TEST_F(StallDetectorTest, EveryStepGivesMoreTime) {
  for (int i = 1; i <= 20; ++i) LoadsUntil(i - 1, i, 3, i);
  EXPECT_FALSE(IsStalled(20.5));
}

TEST_F(StallDetectorTest, WorkerThatRebuildsNeedNotStep) {
  LoadsUntil(0, 1, 3, 6);
  for (double t = 1; t < 30; t += 0.5) {
    detector_.OnLoad(Load(3, 6, worker::v1::WORKER_STATE_NOT_SERVING),
                     kStart + t * kSecond);
  }
  EXPECT_FALSE(IsStalled(30));
  // Serving again, it has the whole time anew.
  detector_.OnLoad(Load(3, 6), kStart + 30 * kSecond);
  EXPECT_FALSE(IsStalled(31.9));
  EXPECT_TRUE(IsStalled(32));
}

TEST_F(StallDetectorTest, RequestsThatWaitAreToBeSteppedToo) {
  worker::v1::WatchLoadResponse load = Load(0, 1);
  load.set_waiting_count(2);
  for (double t = 0.5; t <= 2.5; t += 0.5) {
    detector_.OnLoad(load, kStart + t * kSecond);
  }
  EXPECT_TRUE(IsStalled(2.5));
}

TEST_F(StallDetectorTest, InfiniteTimeoutNeverStalls) {
  StallDetector detector(absl::InfiniteDuration());
  detector.OnConnected(kStart);
  detector.OnLoad(Load(1, 1), kStart);
  EXPECT_TRUE(detector.Check(kStart + absl::Hours(1000)).ok());
}

}  // namespace
}  // namespace blockserve
