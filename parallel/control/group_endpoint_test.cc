// Groups over real gRPC on loopback: epochs, plans, losses.
#include "parallel/control/group_endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "parallel/control/testing/endpoint_group.h"
#include "runtime/base/monotonic_clock.h"

namespace blockserve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using GroupEndpointTest = EndpointGroup;

TEST_F(GroupEndpointTest, EveryRankSeesTheSameFormation) {
  StartAll(3);
  EXPECT_EQ(FormAll(), 1u);
  const GroupSnapshot snapshot = At(0).snapshot();
  EXPECT_EQ(snapshot.epoch, 1u);
  ASSERT_EQ(snapshot.ranks.size(), 3u);
  for (const RankStatus& rank : snapshot.ranks) EXPECT_TRUE(rank.up);
  EXPECT_EQ(snapshot.rebuilds, 0);
  EXPECT_EQ(At(2).snapshot().epoch, 1u);
}

TEST_F(GroupEndpointTest, AGroupOfOneFormsWithoutListening) {
  GroupOptions options;
  BrokenSignal broken;
  auto endpoint = GroupEndpoint::Start(
      options, [&](const absl::Status& why) { broken.Add(why); });
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  const auto formed = (*endpoint)->Form(absl::Now() + absl::Seconds(10));
  ASSERT_TRUE(formed.ok()) << formed.status();
  EXPECT_TRUE(formed->one_host);
  EXPECT_EQ((*endpoint)->port(), 0);
  EXPECT_THAT(*(*endpoint)->ExchangeBlobs("mine"), ElementsAre("mine"));
}

TEST_F(GroupEndpointTest, ExchangesBlobsByRank) {
  StartAll(3);
  FormAll();
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 3; ++rank) {
    threads.emplace_back([&, rank] {
      for (const char* round : {"a", "b"}) {
        const auto blobs = At(rank).ExchangeBlobs(absl::StrCat(round, rank));
        ASSERT_TRUE(blobs.ok()) << blobs.status();
        EXPECT_THAT(*blobs,
                    ElementsAre(absl::StrCat(round, 0), absl::StrCat(round, 1),
                                absl::StrCat(round, 2)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(GroupEndpointTest, PlansArriveInOrder) {
  StartAll(2);
  FormAll();
  for (uint64_t step = 1; step <= 100; ++step) {
    ASSERT_TRUE(Plan(absl::StrCat("plan ", step)).ok());
    At(0).ReportStep({step, absl::Milliseconds(1), absl::ZeroDuration()});
  }
  for (uint64_t step = 1; step <= 100; ++step) {
    const auto plan = At(1).NextPlan();
    ASSERT_TRUE(plan.ok()) << plan.status();
    EXPECT_EQ(*plan, absl::StrCat("plan ", step));
    At(1).ReportStep({step, absl::Milliseconds(1), absl::ZeroDuration()});
  }
}

TEST_F(GroupEndpointTest, ARankThatFallsBehindEndsTheEpoch) {
  StartAll(2);
  FormAll();
  absl::Status status;
  int num_sent = 0;
  while (status.ok() && num_sent < 1000) {
    status = Plan("plan");
    ++num_sent;
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(num_sent, GroupOptions().max_plans_in_flight + 1);
  EXPECT_EQ(broken_[1].Wait(1).code(), absl::StatusCode::kResourceExhausted);
}

// A killed process: its streams end without a word.
TEST_F(GroupEndpointTest, SurvivesTheLossOfARank) {
  StartAll(3);
  FormAll();
  const absl::Time killed = MonotonicNow();
  endpoints_[1].reset();
  EXPECT_THAT(std::string(broken_[0].Wait(1).message()),
              HasSubstr("lost rank 1"));
  EXPECT_EQ(broken_[2].Wait(1).code(), absl::StatusCode::kUnavailable);
  EXPECT_LT(MonotonicNow() - killed, absl::Seconds(1));
  EXPECT_EQ(At(2).NextPlan().status().code(), absl::StatusCode::kUnavailable);
  StartRank(1);
  EXPECT_EQ(FormAll(), 2u);
  EXPECT_EQ(At(0).snapshot().rebuilds, 1);
  EXPECT_EQ(broken_[0].count(), 1u);
}

TEST_F(GroupEndpointTest, SurvivesTheLossOfTheLeader) {
  StartAll(2);
  FormAll();
  endpoints_[0].reset();
  EXPECT_EQ(broken_[1].Wait(1).code(), absl::StatusCode::kUnavailable);
  StartRank(0);
  // A leader that knows of no epoch counts on from what its rank has seen.
  EXPECT_EQ(FormAll(), 2u);
}

TEST_F(GroupEndpointTest, AFailureReachesEveryRank) {
  StartAll(3);
  FormAll();
  At(2).Fail(absl::UnavailableError("all_reduce: peer is gone"));
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_THAT(std::string(broken_[rank].Wait(1).message()),
                HasSubstr("all_reduce: peer is gone"));
  }
  EXPECT_EQ(FormAll(), 2u);
}

TEST_F(GroupEndpointTest, ALateStepEndsTheEpoch) {
  StartAll(2);
  FormAll();
  ASSERT_TRUE(Plan("plan").ok());
  At(0).ReportStep({1, absl::Milliseconds(1), absl::ZeroDuration()});
  const absl::Time planned = MonotonicNow();
  const absl::Status why = broken_[0].Wait(1);
  EXPECT_EQ(why.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(why.message()), HasSubstr("ranks 1 are late"));
  EXPECT_GT(MonotonicNow() - planned, absl::Seconds(1.8));
  EXPECT_LT(MonotonicNow() - planned, absl::Seconds(2.5));
  EXPECT_EQ(FormAll(), 2u);
}

TEST_F(GroupEndpointTest, TheStragglerIsNamed) {
  StartAll(3);
  FormAll();
  constexpr uint64_t kSteps = 32;
  const absl::Duration waited[] = {absl::Milliseconds(8), absl::Milliseconds(1),
                                   absl::Milliseconds(7)};
  for (uint64_t step = 1; step <= kSteps; ++step) {
    ASSERT_TRUE(Plan("plan").ok());
    for (int rank = 0; rank < 3; ++rank) {
      if (rank > 0) {
        ASSERT_TRUE(At(rank).NextPlan().ok());
      }
      At(rank).ReportStep({step, absl::Milliseconds(12), waited[rank]});
    }
  }
  // Until the last reports have come to the leader.
  GroupSnapshot snapshot = At(0).snapshot();
  const absl::Time deadline = MonotonicNow() + absl::Seconds(10);
  while (MonotonicNow() < deadline && (snapshot.ranks[1].last_step < kSteps ||
                                       snapshot.ranks[2].last_step < kSteps)) {
    std::this_thread::yield();
    snapshot = At(0).snapshot();
  }
  EXPECT_EQ(snapshot.straggler, 1);
  EXPECT_EQ(snapshot.ranks[1].last_step, kSteps);
  EXPECT_EQ(snapshot.ranks[1].step_time, absl::Milliseconds(12));
  EXPECT_EQ(snapshot.ranks[1].collective_time, absl::Milliseconds(1));
}

TEST_F(GroupEndpointTest, FormSaysWhoIsMissing) {
  world_size_ = 2;
  StartRank(0);
  const auto formed = At(0).Form(absl::Now() + absl::Milliseconds(50));
  EXPECT_EQ(formed.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(formed.status().message()),
              HasSubstr("rank 1 has not joined"));
}

TEST_F(GroupEndpointTest, ShutdownEndsBlockedCalls) {
  StartAll(2);
  std::thread waiting([&] {
    EXPECT_EQ(At(1).Form(absl::InfiniteFuture()).status().code(),
              absl::StatusCode::kCancelled);
  });
  At(1).Shutdown();
  waiting.join();
  EXPECT_EQ(At(1).NextPlan().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(At(1).ExchangeBlobs("").status().code(),
            absl::StatusCode::kCancelled);
}

// The figure, and a bound that only a polling thread would miss.
TEST_F(GroupEndpointTest, ForwardsAPlanInNoTime) {
  StartAll(2);
  FormAll();
  constexpr int kSteps = 1000;
  std::vector<absl::Duration> times;
  for (uint64_t step = 1; step <= kSteps; ++step) {
    const absl::Time begin = MonotonicNow();
    ASSERT_TRUE(Plan(std::string(1024, 'p')).ok());
    ASSERT_TRUE(At(1).NextPlan().ok());
    times.push_back(MonotonicNow() - begin);
    for (int rank = 0; rank < 2; ++rank) {
      At(rank).ReportStep({step, absl::Milliseconds(1), absl::ZeroDuration()});
    }
  }
  std::sort(times.begin(), times.end());
  std::cout << "SendPlan to NextPlan, 1 KiB: median "
            << absl::FormatDuration(times[kSteps / 2]) << ", 99 of 100 within "
            << absl::FormatDuration(times[kSteps * 99 / 100]) << std::endl;
  EXPECT_LT(times[kSteps / 2], absl::Milliseconds(20));
}

}  // namespace
}  // namespace blockserve
