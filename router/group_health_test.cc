#include "router/group_health.h"

#include <gtest/gtest.h>

namespace blockserve {
namespace {

using worker::v1::WORKER_STATE_DEGRADED;
using worker::v1::WORKER_STATE_DRAINING;
using worker::v1::WORKER_STATE_NOT_SERVING;
using worker::v1::WORKER_STATE_SERVING;
using worker::v1::WORKER_STATE_STARTING;

class GroupHealthTest : public testing::Test {
 protected:
  void Load(worker::v1::WorkerState state, uint64_t epoch = 0) {
    worker::v1::WatchLoadResponse load;
    load.set_state(state);
    load.set_group_epoch(epoch);
    health_.OnLoad(load, now_);
  }
  void Connect(const std::string& instance = "a", uint64_t epoch = 1) {
    health_.OnConnected(instance, epoch);
    Load(WORKER_STATE_SERVING, epoch);
  }
  void Pass(absl::Duration time) { now_ += time; }
  WorkerHealth Now() const { return health_.At(now_); }
  // Fails until the group is ejected.
  void FailUntilEjected() {
    while (!health_.OnFailure(now_)) {
    }
    health_.Eject(now_);
  }

  absl::Time now_ = absl::UnixEpoch();
  GroupHealth health_{GroupHealthOptions()};
};

TEST_F(GroupHealthTest, IsDownUntilItsFirstLoad) {
  EXPECT_EQ(Now(), WorkerHealth::kDown);
  health_.OnConnected("a", 1);
  EXPECT_EQ(Now(), WorkerHealth::kDown);
  Load(WORKER_STATE_SERVING);
  EXPECT_EQ(Now(), WorkerHealth::kHealthy);
  health_.OnDisconnected();
  EXPECT_EQ(Now(), WorkerHealth::kDown);
}

TEST_F(GroupHealthTest, FollowsWhatTheGroupSays) {
  Connect();
  const struct {
    worker::v1::WorkerState state;
    WorkerHealth health;
  } kCases[] = {
      {WORKER_STATE_DEGRADED, WorkerHealth::kHealthy},
      {WORKER_STATE_DRAINING, WorkerHealth::kDraining},
      {WORKER_STATE_STARTING, WorkerHealth::kDown},
      {WORKER_STATE_NOT_SERVING, WorkerHealth::kDown},
      {WORKER_STATE_SERVING, WorkerHealth::kHealthy},
  };
  for (const auto& c : kCases) {
    Load(c.state);
    EXPECT_EQ(Now(), c.health) << c.state;
  }
}

TEST_F(GroupHealthTest, EitherSourceTakesItOut) {
  Connect();
  health_.OnReadiness(false);
  EXPECT_EQ(Now(), WorkerHealth::kDown);
  Load(WORKER_STATE_SERVING);
  EXPECT_EQ(Now(), WorkerHealth::kDown);
  health_.OnReadiness(true);
  EXPECT_EQ(Now(), WorkerHealth::kHealthy);
}

TEST_F(GroupHealthTest, FiveFailuresInARowEject) {
  Connect();
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(health_.OnFailure(now_));
  health_.OnSuccess(now_);
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(health_.OnFailure(now_));
  EXPECT_TRUE(health_.OnFailure(now_));
  health_.Eject(now_);
  EXPECT_EQ(Now(), WorkerHealth::kEjected);
}

TEST_F(GroupHealthTest, EjectionEndsInHalfOpenAndASuccessClosesIt) {
  Connect();
  FailUntilEjected();
  Pass(absl::Seconds(4.9));
  EXPECT_EQ(Now(), WorkerHealth::kEjected);
  Pass(absl::Seconds(0.1));
  EXPECT_EQ(Now(), WorkerHealth::kHalfOpen);
  health_.OnSuccess(now_);
  EXPECT_EQ(Now(), WorkerHealth::kHealthy);
}

TEST_F(GroupHealthTest, EveryFailedProbeEjectsForLongerUpToAMinute) {
  Connect();
  FailUntilEjected();
  for (int n = 2; n <= 15; ++n) {
    Pass(absl::Seconds(60));
    EXPECT_EQ(Now(), WorkerHealth::kHalfOpen);
    EXPECT_TRUE(health_.OnFailure(now_));  // one is enough
    health_.Eject(now_);
    const absl::Duration length = std::min(5 * n, 60) * absl::Seconds(1);
    EXPECT_EQ(health_.At(now_ + length - absl::Milliseconds(1)),
              WorkerHealth::kEjected);
    EXPECT_EQ(health_.At(now_ + length), WorkerHealth::kHalfOpen);
  }
}

TEST_F(GroupHealthTest, TimeInRotationIsForgiving) {
  Connect();
  for (int i = 0; i < 3; ++i) {
    FailUntilEjected();
    Pass(absl::Seconds(60));
  }
  health_.OnSuccess(now_);
  Pass(absl::Seconds(10));  // takes two off three
  FailUntilEjected();
  EXPECT_EQ(health_.At(now_ + absl::Seconds(9.9)), WorkerHealth::kEjected);
  EXPECT_EQ(health_.At(now_ + absl::Seconds(10)), WorkerHealth::kHalfOpen);
}

TEST_F(GroupHealthTest, FailuresWhileEjectedDoNotProlongIt) {
  Connect();
  FailUntilEjected();
  Pass(absl::Seconds(1));
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(health_.OnFailure(now_));
}

TEST_F(GroupHealthTest, NewIncarnationOrEpochEndsAnEjectionHalfWay) {
  Connect("a", 1);
  FailUntilEjected();
  Connect("a", 1);
  EXPECT_EQ(Now(), WorkerHealth::kEjected);  // the same that failed
  Connect("b", 1);
  EXPECT_EQ(Now(), WorkerHealth::kHalfOpen);
  health_.OnSuccess(now_);
  FailUntilEjected();
  Connect("b", 2);
  EXPECT_EQ(Now(), WorkerHealth::kHalfOpen);
}

TEST_F(GroupHealthTest, RebuildWithinAConnectionEndsAnEjectionToo) {
  Connect("a", 1);
  FailUntilEjected();
  Load(WORKER_STATE_NOT_SERVING, 1);
  EXPECT_EQ(Now(), WorkerHealth::kDown);
  Load(WORKER_STATE_SERVING, 2);
  EXPECT_EQ(Now(), WorkerHealth::kHalfOpen);
}

TEST_F(GroupHealthTest, LossCountsOnceAndHoldsUntilTheRebuild) {
  Connect("a", 1);
  const uint64_t generation = health_.generation();
  for (int i = 0; i < 32; ++i) EXPECT_FALSE(health_.OnGroupLost(now_));
  EXPECT_EQ(Now(), WorkerHealth::kDown);
  // What it said before it knew.
  Load(WORKER_STATE_SERVING, 1);
  EXPECT_EQ(Now(), WorkerHealth::kDown);
  Load(WORKER_STATE_NOT_SERVING, 1);
  Pass(absl::Seconds(3));
  Load(WORKER_STATE_NOT_SERVING, 1);
  EXPECT_EQ(Now(), WorkerHealth::kDown);
  Load(WORKER_STATE_SERVING, 2);
  EXPECT_EQ(Now(), WorkerHealth::kHealthy);
  EXPECT_GT(health_.generation(), generation);
}

TEST_F(GroupHealthTest, RebuildBetweenTwoLoadsIsSeenByItsEpoch) {
  Connect("a", 1);
  health_.OnGroupLost(now_);
  Load(WORKER_STATE_SERVING, 2);
  EXPECT_EQ(Now(), WorkerHealth::kHealthy);
}

TEST_F(GroupHealthTest, LossThatTheGroupDoesNotConfirmHoldsForASecond) {
  Connect();
  health_.OnGroupLost(now_);
  Pass(absl::Seconds(0.9));
  Load(WORKER_STATE_SERVING);
  EXPECT_EQ(Now(), WorkerHealth::kDown);
  Pass(absl::Seconds(0.1));
  Load(WORKER_STATE_SERVING);
  EXPECT_EQ(Now(), WorkerHealth::kHealthy);
}

TEST_F(GroupHealthTest, CrashLoopIsEjectedThoughEveryIncarnationIsNew) {
  bool ejected = false;
  for (int i = 0; i < 5; ++i) {
    Connect("instance" + std::to_string(i));
    EXPECT_EQ(Now(), WorkerHealth::kHealthy);
    ejected = health_.OnGroupLost(now_);
    EXPECT_EQ(ejected, i == 4);
    health_.OnDisconnected();
    Pass(absl::Seconds(1));
  }
  health_.Eject(now_);
  // From now on one request per incarnation is put at risk.
  Connect("another");
  EXPECT_EQ(Now(), WorkerHealth::kHalfOpen);
  EXPECT_TRUE(health_.OnGroupLost(now_));
}

TEST_F(GroupHealthTest, EveryConnectionIsAGenerationOfItsOwn) {
  Connect();
  const uint64_t first = health_.generation();
  health_.OnDisconnected();
  Connect();
  EXPECT_GT(health_.generation(), first);
}

}  // namespace
}  // namespace blockserve
