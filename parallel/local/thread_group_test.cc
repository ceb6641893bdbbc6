// What sets groups within a process apart; that they compute what every
// communicator must is tested in parallel/conformance.
#include "parallel/local/thread_group.h"

#include <gtest/gtest.h>

#include <numeric>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "kernels/api/tensor_view.h"
#include "parallel/local/local_communicator.h"

namespace blockserve {
namespace {

TensorView View(std::vector<float>& values) {
  return TensorView(values.data(), DType::kFloat32,
                    {static_cast<int64_t>(values.size()), 1});
}

TEST(LocalCommunicatorTest, ChangesNothingAndCounts) {
  const auto alone = CreateLocalCommunicator({});
  std::vector<float> values = {1.0f, 2.0f};
  alone->AllReduce(View(values));
  alone->ReduceScatter(View(values));
  alone->AllGather({View(values), View(values)});
  alone->Broadcast(View(values), 0);
  alone->Barrier();
  EXPECT_TRUE(alone->Synchronize().ok());
  EXPECT_EQ(values, (std::vector<float>{1.0f, 2.0f}));
  const CommunicatorStats stats = alone->stats();
  EXPECT_EQ(stats.of(CollectiveOp::kAllReduce).num_bytes, 8);
  EXPECT_EQ(stats.of(CollectiveOp::kAllGather).num_bytes, 16);
  EXPECT_EQ(stats.of(CollectiveOp::kBarrier).num_calls, 1);
}

TEST(LocalCommunicatorTest, AnAbortPoisons) {
  const auto alone = CreateLocalCommunicator({});
  alone->Abort(absl::UnavailableError("leader is gone"));
  alone->Abort(absl::InternalError("later"));
  EXPECT_EQ(alone->Synchronize(), absl::UnavailableError("leader is gone"));
  alone->Barrier();
  EXPECT_EQ(alone->stats().of(CollectiveOp::kBarrier).num_calls, 0);
}

TEST(ThreadGroupTest, RanksMayGoInAnyOrder) {
  auto group = CreateThreadGroup(3, {});
  group[1].reset();
  std::vector<float> values = {1.0f};
  group[2]->AllReduce(View(values));
  EXPECT_EQ(group[2]->Synchronize().code(), absl::StatusCode::kUnavailable);
}

TEST(ThreadGroupTest, ARankThatCallsSomethingElseIsNamed) {
  auto group = CreateThreadGroup(2, {});
  std::vector<float> values = {1.0f, 2.0f};
  std::thread peer([&] { group[1]->Barrier(); });
  group[0]->AllReduce(View(values));
  peer.join();
  const absl::Status error = group[0]->Synchronize();
  EXPECT_EQ(error.code(), absl::StatusCode::kInternal);
  EXPECT_NE(error.message().find("rank 1 calls barrier"),
            absl::string_view::npos)
      << error;
}

}  // namespace
}  // namespace blockserve
