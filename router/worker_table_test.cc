#include "router/worker_table.h"

#include <gtest/gtest.h>

#include <memory>

namespace blockserve {
namespace {

class WorkerTableTest : public testing::Test {
 protected:
  std::optional<int> Acquire(int64_t blocks, std::optional<int> excluded = {}) {
    return table_.Acquire(*policy_, blocks, excluded, 0);
  }

  std::unique_ptr<RoutingPolicy> policy_ =
      *CreateRoutingPolicy("least_outstanding");
  WorkerTable table_;
};

TEST_F(WorkerTableTest, HasNothingToPickAtStart) {
  EXPECT_EQ(Acquire(1), std::nullopt);
  table_.Add("worker-0");
  EXPECT_EQ(Acquire(1), std::nullopt);
  EXPECT_EQ(table_.num_healthy(), 0);
}

TEST_F(WorkerTableTest, PicksHealthyWorkersOnly) {
  const int first = table_.Add("worker-0");
  const int second = table_.Add("worker-1");
  EXPECT_EQ(table_.SetHealth(first, WorkerHealth::kDraining), 0);
  EXPECT_EQ(table_.SetHealth(second, WorkerHealth::kHealthy), 1);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Acquire(1), second);
  EXPECT_EQ(Acquire(1, second), std::nullopt);
  table_.SetHealth(second, WorkerHealth::kDown);
  EXPECT_EQ(Acquire(1), std::nullopt);
}

TEST_F(WorkerTableTest, CountsWorkAtDispatch) {
  const int first = table_.Add("worker-0");
  const int second = table_.Add("worker-1");
  table_.SetHealth(first, WorkerHealth::kHealthy);
  table_.SetHealth(second, WorkerHealth::kHealthy);
  // No answer from anyone, yet the burst is spread.
  EXPECT_EQ(Acquire(10), first);
  EXPECT_EQ(Acquire(3), second);
  EXPECT_EQ(Acquire(3), second);
  EXPECT_EQ(Acquire(3), second);
  EXPECT_EQ(Acquire(3), second);
  EXPECT_EQ(Acquire(3), first);
  EXPECT_EQ(table_.row(first).outstanding_blocks, 13);
  EXPECT_EQ(table_.row(first).outstanding_requests, 2);
  table_.Release(first, 10);
  EXPECT_EQ(Acquire(1), first);
}

TEST_F(WorkerTableTest, KeepsChargesOfAWorkerThatIsDown) {
  const int worker = table_.Add("worker-0");
  table_.SetHealth(worker, WorkerHealth::kHealthy);
  ASSERT_EQ(Acquire(5), worker);
  table_.SetHealth(worker, WorkerHealth::kDown);
  EXPECT_EQ(table_.row(worker).outstanding_blocks, 5);
  table_.Release(worker, 5);
  EXPECT_EQ(table_.row(worker).outstanding_blocks, 0);
  EXPECT_EQ(table_.row(worker).outstanding_requests, 0);
}

}  // namespace
}  // namespace blockserve
