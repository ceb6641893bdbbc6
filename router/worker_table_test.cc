#include "router/worker_table.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace blockserve {
namespace {

constexpr absl::Time kStart = absl::UnixEpoch();

class WorkerTableTest : public testing::Test {
 protected:
  std::optional<int> Acquire(int64_t blocks, std::vector<int> excluded = {}) {
    last_ = table_.Acquire(*policy_, blocks, excluded, 0, now_);
    if (!last_.has_value()) return std::nullopt;
    return last_->worker;
  }
  // Makes workers 0 to count - 1, all healthy.
  void AddHealthy(int count) {
    for (int i = 0; i < count; ++i) {
      table_.Add(i, "worker-" + std::to_string(i));
      table_.OnConnected(i, "instance", 1);
      Load(i, worker::v1::WORKER_STATE_SERVING);
    }
  }
  void Load(int worker, worker::v1::WorkerState state) {
    worker::v1::WatchLoadResponse load;
    load.set_state(state);
    table_.OnLoad(worker, load, now_);
  }
  // Lets five requests in a row fail; true if the worker is ejected for it.
  bool FailFive(int worker) {
    WorkerLease lease = LeaseOf(worker);
    bool ejected = false;
    for (int i = 0; i < 5; ++i) {
      ejected = table_.OnFailure(lease, false, now_).has_value();
    }
    return ejected;
  }
  // A request's place at this worker, given back already.
  WorkerLease LeaseOf(int worker) {
    std::vector<int> others;
    for (int i = 0; i < 10; ++i) {
      if (i != worker) others.push_back(i);
    }
    EXPECT_EQ(Acquire(1, others), worker);
    table_.Release(*last_, 1);
    return *last_;
  }
  WorkerHealth HealthOf(int worker) { return table_.row(worker, now_)->health; }

  std::unique_ptr<RoutingPolicy> policy_ =
      *CreateRoutingPolicy("least_outstanding");
  absl::Time now_ = kStart;
  WorkerTable table_;
  std::optional<WorkerLease> last_;
};

TEST_F(WorkerTableTest, HasNothingToPickAtStart) {
  EXPECT_EQ(Acquire(1), std::nullopt);
  table_.Add(0, "worker-0");
  EXPECT_EQ(Acquire(1), std::nullopt);
  EXPECT_EQ(table_.num_healthy(now_), 0);
}

TEST_F(WorkerTableTest, PicksHealthyWorkersOnly) {
  AddHealthy(2);
  Load(0, worker::v1::WORKER_STATE_DRAINING);
  EXPECT_EQ(table_.num_healthy(now_), 1);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Acquire(1), 1);
  EXPECT_EQ(Acquire(1, {1}), std::nullopt);
  table_.OnDisconnected(1, false, now_);
  EXPECT_EQ(Acquire(1), std::nullopt);
}

TEST_F(WorkerTableTest, CountsWorkAtDispatch) {
  AddHealthy(2);
  // No answer from anyone, yet the burst is spread.
  EXPECT_EQ(Acquire(10), 0);
  const WorkerLease first = *last_;
  EXPECT_EQ(Acquire(3), 1);
  EXPECT_EQ(Acquire(3), 1);
  EXPECT_EQ(Acquire(3), 1);
  EXPECT_EQ(Acquire(3), 1);
  EXPECT_EQ(Acquire(3), 0);
  EXPECT_EQ(table_.row(0, now_)->outstanding_blocks, 13);
  EXPECT_EQ(table_.row(0, now_)->outstanding_requests, 2);
  EXPECT_EQ(table_.num_outstanding_requests(), 6);
  table_.Release(first, 10);
  EXPECT_EQ(Acquire(1), 0);
}

TEST_F(WorkerTableTest, KeepsChargesOfAWorkerThatIsDown) {
  AddHealthy(1);
  ASSERT_EQ(Acquire(5), 0);
  table_.OnDisconnected(0, false, now_);
  EXPECT_EQ(table_.row(0, now_)->outstanding_blocks, 5);
  table_.Release(*last_, 5);
  EXPECT_EQ(table_.row(0, now_)->outstanding_blocks, 0);
  EXPECT_EQ(table_.row(0, now_)->outstanding_requests, 0);
}

TEST_F(WorkerTableTest, EjectsHalfOfTheWorkersAtMost) {
  AddHealthy(5);
  EXPECT_TRUE(FailFive(0));
  EXPECT_TRUE(FailFive(1));
  EXPECT_FALSE(FailFive(2));
  EXPECT_EQ(HealthOf(1), WorkerHealth::kEjected);
  EXPECT_EQ(HealthOf(2), WorkerHealth::kHealthy);
  EXPECT_EQ(table_.num_healthy(now_), 3);
}

TEST_F(WorkerTableTest, SingleWorkerIsNeverEjected) {
  AddHealthy(1);
  EXPECT_FALSE(FailFive(0));
  EXPECT_EQ(table_.OnDisconnected(0, /*stalled=*/true, now_), std::nullopt);
}

TEST_F(WorkerTableTest, TriesAnEjectedWorkerRatherThanNone) {
  AddHealthy(2);
  ASSERT_TRUE(FailFive(0));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Acquire(1), 1);
  table_.OnDisconnected(1, false, now_);
  EXPECT_EQ(Acquire(1), 0);
  EXPECT_FALSE(last_->is_probe);
}

TEST_F(WorkerTableTest, HalfOpenWorkerTakesOneRequestAtATime) {
  AddHealthy(2);
  ASSERT_TRUE(FailFive(0));
  now_ += absl::Seconds(5);
  ASSERT_EQ(HealthOf(0), WorkerHealth::kHalfOpen);
  EXPECT_EQ(table_.num_healthy(now_), 2);
  ASSERT_EQ(Acquire(100, {0}), 1);  // so that the other is preferred
  EXPECT_EQ(Acquire(1), 0);
  EXPECT_TRUE(last_->is_probe);
  const WorkerLease probe = *last_;
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Acquire(1), 1);
  // A probe that ends without telling anything leaves room for the next.
  table_.Release(probe, 1);
  EXPECT_EQ(Acquire(1), 0);
  table_.OnSuccess(*last_, now_);
  EXPECT_EQ(HealthOf(0), WorkerHealth::kHealthy);
  EXPECT_EQ(Acquire(1), 0);
  EXPECT_FALSE(last_->is_probe);
}

TEST_F(WorkerTableTest, FailedProbeEjectsAgain) {
  AddHealthy(2);
  ASSERT_TRUE(FailFive(0));
  now_ += absl::Seconds(5);
  const WorkerLease probe = LeaseOf(0);
  EXPECT_EQ(table_.OnFailure(probe, false, now_), EjectionReason::kFailures);
  now_ += absl::Seconds(9);
  EXPECT_EQ(HealthOf(0), WorkerHealth::kEjected);
}

TEST_F(WorkerTableTest, WorkerThatHungIsEjectedAtOnce) {
  AddHealthy(2);
  EXPECT_EQ(table_.OnDisconnected(0, /*stalled=*/true, now_),
            EjectionReason::kStall);
  EXPECT_EQ(HealthOf(0), WorkerHealth::kDown);
  table_.OnConnected(0, "instance", 1);
  Load(0, worker::v1::WORKER_STATE_SERVING);
  EXPECT_EQ(HealthOf(0), WorkerHealth::kEjected);
  // Nor does a failed attempt to connect count as one more hang.
  table_.OnDisconnected(1, false, now_);
  EXPECT_EQ(table_.OnDisconnected(1, /*stalled=*/true, now_), std::nullopt);
}

TEST_F(WorkerTableTest, WordFromAnEarlierGenerationIsIgnored) {
  AddHealthy(2);
  const WorkerLease old = LeaseOf(0);
  table_.OnDisconnected(0, false, now_);
  table_.OnConnected(0, "instance", 1);
  Load(0, worker::v1::WORKER_STATE_SERVING);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(table_.OnFailure(old, false, now_), std::nullopt);
    EXPECT_EQ(table_.OnFailure(old, true, now_), std::nullopt);
  }
  EXPECT_EQ(HealthOf(0), WorkerHealth::kHealthy);
}

TEST_F(WorkerTableTest, GenerationsOfWorkersDiffer) {
  AddHealthy(2);
  EXPECT_NE(LeaseOf(0).generation, LeaseOf(1).generation);
}

TEST_F(WorkerTableTest, WorkerThatLeavesFinishesWhatItHas) {
  AddHealthy(1);
  ASSERT_EQ(Acquire(1), 0);
  const WorkerLease lease = *last_;
  table_.SetLeaving(0, true);
  EXPECT_EQ(table_.num_healthy(now_), 0);
  EXPECT_EQ(Acquire(1), std::nullopt);
  EXPECT_FALSE(table_.RemoveIfIdle(0));
  table_.Release(lease, 1);
  EXPECT_TRUE(table_.RemoveIfIdle(0));
  EXPECT_EQ(table_.row(0, now_), std::nullopt);
  // Late words about it do no harm.
  Load(0, worker::v1::WORKER_STATE_SERVING);
  table_.OnDisconnected(0, false, now_);
}

}  // namespace
}  // namespace blockserve
