#include "parallel/fake/fake_communicator.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "kernels/api/tensor_view.h"
#include "parallel/local/local_communicator.h"
#include "parallel/local/thread_group.h"

namespace blockserve {
namespace {

using Kind = CollectiveFault::Kind;

class FakeCommunicatorTest : public testing::Test {
 protected:
  TensorView View() { return TensorView(&value_, DType::kFloat32, {1, 1}); }

  FakeCommunicator fake_{CreateLocalCommunicator({})};
  float value_ = 1.0f;
};

TEST_F(FakeCommunicatorTest, WritesCallsDown) {
  fake_.AllReduce(View());
  fake_.AllGather({View(), View()});
  fake_.AllReduce(View());
  EXPECT_EQ(fake_.call_log()->calls(),
            (std::vector<CollectiveCall>{{CollectiveOp::kAllReduce, 4},
                                         {CollectiveOp::kAllGather, 8},
                                         {CollectiveOp::kAllReduce, 4}}));
  EXPECT_EQ(fake_.call_log()->CountOf(CollectiveOp::kAllReduce), 2);
  fake_.call_log()->Clear();
  EXPECT_EQ(fake_.call_log()->size(), 0);
}

TEST_F(FakeCommunicatorTest, FailsTheCallThatIsNamed) {
  fake_.Inject({.kind = Kind::kFail,
                .op = CollectiveOp::kAllReduce,
                .call = 1,
                .error = absl::InternalError("planted")});
  fake_.AllReduce(View());
  fake_.Barrier();
  EXPECT_TRUE(fake_.Synchronize().ok());
  fake_.AllReduce(View());
  EXPECT_EQ(fake_.Synchronize(), absl::InternalError("planted"));
  fake_.Barrier();
  EXPECT_EQ(fake_.call_log()->size(), 3);
}

TEST_F(FakeCommunicatorTest, CountsCallsOfAllOpsWhereNoneIsNamed) {
  fake_.Inject({.kind = Kind::kFail, .call = 2});
  fake_.AllReduce(View());
  fake_.Barrier();
  EXPECT_TRUE(fake_.Synchronize().ok());
  fake_.Broadcast(View(), 0);
  EXPECT_EQ(fake_.Synchronize().code(), absl::StatusCode::kUnavailable);
}

TEST_F(FakeCommunicatorTest, HangsUntilAborted) {
  fake_.Inject({.kind = Kind::kHang});
  std::thread caller([&] { fake_.AllReduce(View()); });
  fake_.AwaitStuck();
  EXPECT_TRUE(fake_.error().ok());
  fake_.Abort(absl::AbortedError("enough"));
  caller.join();
  EXPECT_EQ(fake_.Synchronize(), absl::AbortedError("enough"));
}

TEST_F(FakeCommunicatorTest, ADelayedCallIsDoneAllTheSame) {
  fake_.Inject({.kind = Kind::kDelay, .delay = absl::Milliseconds(20)});
  const absl::Time begin = absl::Now();
  fake_.Barrier();
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(20));
  EXPECT_TRUE(fake_.Synchronize().ok());
  EXPECT_EQ(fake_.stats().of(CollectiveOp::kBarrier).num_calls, 1);
}

TEST(FakeInGroupTest, PeersOfAFailedRankAreTold) {
  auto group = CreateThreadGroup(2, {});
  FakeCommunicator fake(std::move(group[1]));
  fake.Inject({.kind = Kind::kFail});
  std::thread peer([&] { fake.Barrier(); });
  group[0]->Barrier();
  peer.join();
  EXPECT_EQ(group[0]->Synchronize().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace blockserve
