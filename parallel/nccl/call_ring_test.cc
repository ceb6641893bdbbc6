#include "parallel/nccl/call_ring.h"

#include <gtest/gtest.h>

namespace blockserve {
namespace {

constexpr absl::Time kStart = absl::UnixEpoch();

TEST(CallRingTest, FinishesInOrderAndReusesSlots) {
  CallRing ring(/*capacity=*/2, absl::Seconds(1));
  EXPECT_TRUE(ring.empty());
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(ring.next(), i % 2);
    ring.Add(CollectiveOp::kAllReduce, 8);
    EXPECT_EQ(ring.oldest(), i % 2);
    ring.Finish(absl::Milliseconds(3));
  }
  ring.Add(CollectiveOp::kBarrier, 0);
  ring.Add(CollectiveOp::kBroadcast, 4);
  EXPECT_TRUE(ring.full());
  ring.Finish(absl::Milliseconds(1));
  EXPECT_FALSE(ring.full());
  EXPECT_EQ(ring.oldest(), 0);
}

TEST(CallRingTest, CountsCallsWhenMadeAndTimeWhenDone) {
  CallRing ring(4, absl::Seconds(1));
  ring.Add(CollectiveOp::kAllReduce, 8);
  ring.Add(CollectiveOp::kAllGather, 16);
  ring.AddFinished(CollectiveOp::kAllGather, 0);
  EXPECT_EQ(ring.stats().of(CollectiveOp::kAllReduce).num_calls, 1);
  EXPECT_EQ(ring.stats().of(CollectiveOp::kAllReduce).num_bytes, 8);
  EXPECT_EQ(ring.stats().of(CollectiveOp::kAllGather).num_calls, 2);
  EXPECT_EQ(ring.stats().of(CollectiveOp::kAllReduce).time,
            absl::ZeroDuration());
  ring.Finish(absl::Milliseconds(3));
  ring.Finish(absl::Milliseconds(5));
  EXPECT_EQ(ring.stats().of(CollectiveOp::kAllReduce).time,
            absl::Milliseconds(3));
  EXPECT_EQ(ring.stats().of(CollectiveOp::kAllGather).time,
            absl::Milliseconds(5));
}

TEST(CallRingTest, TheDeadlineRunsFromWhenTheDeviceReachedTheCall) {
  CallRing ring(4, absl::Seconds(1));
  EXPECT_TRUE(ring.CheckDeadline(kStart + absl::Hours(1)).ok());
  ring.Add(CollectiveOp::kReduceScatter, 24);
  // Behind other work of the queue: nobody is late.
  EXPECT_TRUE(ring.CheckDeadline(kStart + absl::Hours(1)).ok());
  ring.MarkReached(kStart);
  ring.MarkReached(kStart + absl::Milliseconds(900));  // the first one counts
  EXPECT_TRUE(ring.CheckDeadline(kStart + absl::Milliseconds(1000)).ok());
  const absl::Status late =
      ring.CheckDeadline(kStart + absl::Milliseconds(1001));
  EXPECT_TRUE(absl::IsDeadlineExceeded(late)) << late;
  EXPECT_NE(late.message().find("reduce_scatter of 24 bytes"),
            absl::string_view::npos)
      << late;
}

TEST(CallRingTest, AReplayIsOneCallThatCountsAsSeveral) {
  CommunicatorStats calls;
  calls.of(CollectiveOp::kAllReduce) = {
      .num_calls = 3, .num_bytes = 24, .time = {}};
  calls.of(CollectiveOp::kAllGather) = {
      .num_calls = 1, .num_bytes = 5, .time = {}};
  CallRing ring(1, absl::Seconds(1));
  ring.AddReplay(calls);
  EXPECT_TRUE(ring.full());
  ring.MarkReached(kStart);
  const absl::Status late = ring.CheckDeadline(kStart + absl::Seconds(2));
  EXPECT_TRUE(absl::IsDeadlineExceeded(late)) << late;
  EXPECT_NE(late.message().find("4 collectives"), absl::string_view::npos)
      << late;
  ring.Finish(absl::Milliseconds(3));
  EXPECT_EQ(ring.stats().of(CollectiveOp::kAllReduce).num_calls, 3);
  EXPECT_EQ(ring.stats().of(CollectiveOp::kAllReduce).num_bytes, 24);
  EXPECT_EQ(ring.stats().of(CollectiveOp::kAllGather).num_bytes, 5);
  EXPECT_EQ(ring.stats().of(CollectiveOp::kAllReduce).time,
            absl::ZeroDuration());
}

TEST(CallRingTest, ASlotForgetsWhenItsLastCallWasReached) {
  CallRing ring(1, absl::Seconds(1));
  ring.Add(CollectiveOp::kAllReduce, 8);
  ring.MarkReached(kStart);
  ring.Finish(absl::Milliseconds(1));
  ring.Add(CollectiveOp::kAllReduce, 8);
  EXPECT_TRUE(ring.CheckDeadline(kStart + absl::Hours(1)).ok());
}

}  // namespace
}  // namespace blockserve
