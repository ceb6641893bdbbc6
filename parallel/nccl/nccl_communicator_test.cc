// The communicator as it is, over fakes of NCCL and CUDA whose ranks are
// threads: what it asks of them, and how it fails.
#include "parallel/nccl/nccl_communicator.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "kernels/api/tensor_view.h"
#include "parallel/api/shard.h"
#include "parallel/conformance/exchange_hub.h"
#include "parallel/nccl/testing/fake_cuda.h"
#include "parallel/nccl/testing/fake_nccl.h"
#include "parallel/nccl/unique_id.h"

namespace blockserve {
namespace {

// A stream for the length of a scope.
class Stream {
 public:
  Stream() { cudaStreamCreate(&stream_); }
  ~Stream() { cudaStreamDestroy(stream_); }
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class NcclCommunicatorTest : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    FakeNccl::Reset();
    (void)TakeMisuses();
  }
  void TearDown() override { EXPECT_EQ(TakeMisuses(), Strings{}); }

  using Strings = std::vector<std::string>;

  static int size() { return GetParam(); }

  // Runs `body` on every rank, each on a thread of its own.
  static void OnAllRanks(const std::function<void(int, Communicator&)>& body,
                         absl::Duration timeout = absl::Seconds(10)) {
    ExchangeHub hub(size());
    std::vector<std::thread> ranks;
    for (int rank = 0; rank < size(); ++rank) {
      ranks.emplace_back([&, rank] {
        const Stream stream;
        auto made = CreateNcclCommunicator(
            rank, size(), {.max_bytes = 1 << 20, .timeout = timeout},
            stream.get(), hub.ForRank(rank));
        ASSERT_TRUE(made.ok()) << made.status();
        body(rank, **made);
      });
    }
    for (std::thread& rank : ranks) rank.join();
  }

  static TensorView View(std::vector<float>& values, int64_t rows,
                         int64_t dim) {
    return TensorView(values.data(), DType::kFloat32, {rows, dim});
  }

  // Small numbers, whose sums are exact.
  static std::vector<float> ValuesOf(int rank, int64_t count) {
    std::vector<float> values(static_cast<size_t>(count));
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>((rank + 1) * 100 + static_cast<int>(i));
    }
    return values;
  }
  static float SumAt(int64_t i) {
    float sum = 0;
    for (int rank = 0; rank < size(); ++rank) {
      sum += ValuesOf(rank, i + 1)[static_cast<size_t>(i)];
    }
    return sum;
  }
};

TEST_P(NcclCommunicatorTest, AllReduceSums) {
  OnAllRanks([](int rank, Communicator& communicator) {
    EXPECT_EQ(communicator.name(), "nccl");
    std::vector<float> values = ValuesOf(rank, 15);
    communicator.AllReduce(View(values, 3, 5));
    ASSERT_TRUE(communicator.Synchronize().ok()) << communicator.error();
    for (int64_t i = 0; i < 15; ++i) {
      EXPECT_EQ(values[static_cast<size_t>(i)], SumAt(i));
    }
  });
}

TEST_P(NcclCommunicatorTest, ReplayedCallsCountButNeedOneSlot) {
  OnAllRanks([](int, Communicator& communicator) {
    std::vector<float> values(6, 1.0f);
    const auto sum_twice = [&] {
      communicator.AllReduce(View(values, 2, 3));
      communicator.AllReduce(View(values, 2, 3));
    };
    communicator.RunReplay(1, sum_twice);
    ASSERT_TRUE(communicator.Synchronize().ok()) << communicator.error();
    EXPECT_EQ(values[5], static_cast<float>(size() * size()));
    // What a device was told to do again makes no calls.
    for (int i = 0; i < 3; ++i) communicator.RunReplay(1, [] {});
    communicator.RunReplay(2, [] {});
    ASSERT_TRUE(communicator.Synchronize().ok()) << communicator.error();
    const CommunicatorStats stats = communicator.stats();
    EXPECT_EQ(stats.of(CollectiveOp::kAllReduce).num_calls, 8);
    EXPECT_EQ(stats.of(CollectiveOp::kAllReduce).num_bytes, 8 * 24);
  });
}

TEST_P(NcclCommunicatorTest, CommunicatorsHaveIdsOfTheirOwn) {
  std::vector<uint64_t> ids;
  for (int i = 0; i < 2; ++i) {
    OnAllRanks([&](int rank, Communicator& communicator) {
      if (rank == 0) ids.push_back(communicator.id());
    });
  }
  EXPECT_NE(ids[0], ids[1]);
}

TEST_P(NcclCommunicatorTest, ALateReplayEndsAtTheDeadline) {
  if (size() < 2) return;
  OnAllRanks(
      [](int rank, Communicator& communicator) {
        std::vector<float> values(4, 1.0f);
        communicator.RunReplay(1, [&] {
          if (rank != 1) communicator.AllReduce(View(values, 1, 4));
        });
        if (rank == 1) return;
        const absl::Status status = communicator.Synchronize();
        EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
        EXPECT_NE(status.message().find("1 collectives"),
                  absl::string_view::npos)
            << status;
      },
      absl::Milliseconds(200));
}

TEST_P(NcclCommunicatorTest, ReduceScatterGivesARankItsRows) {
  OnAllRanks([](int rank, Communicator& communicator) {
    for (const int64_t rows : {1, 2, 3, 7, 12}) {
      std::vector<float> values = ValuesOf(rank, rows * 4);
      communicator.ReduceScatter(View(values, rows, 4));
      ASSERT_TRUE(communicator.Synchronize().ok()) << communicator.error();
      const ShardRange own = RowsOf(rows, rank, size());
      for (int64_t i = own.begin * 4; i < own.end * 4; ++i) {
        EXPECT_EQ(values[static_cast<size_t>(i)], SumAt(i));
      }
    }
  });
}

TEST_P(NcclCommunicatorTest, AllGatherBringsAllRowsOfAllArrays) {
  OnAllRanks([](int rank, Communicator& communicator) {
    for (const int64_t rows : {1, 2, 5, 12}) {
      std::vector<int32_t> ids(static_cast<size_t>(rows * 4), -1);
      std::vector<uint8_t> flags(static_cast<size_t>(rows), 0);
      const ShardRange own = RowsOf(rows, rank, size());
      for (int64_t row = own.begin; row < own.end; ++row) {
        for (int64_t i = row * 4; i < row * 4 + 4; ++i) {
          ids[static_cast<size_t>(i)] = static_cast<int32_t>(i);
        }
        flags[static_cast<size_t>(row)] = static_cast<uint8_t>(row + 1);
      }
      communicator.AllGather(
          {TensorView(ids.data(), DType::kInt32, {rows, 2, 2}),
           TensorView(flags.data(), DType::kUint8, {rows})});
      ASSERT_TRUE(communicator.Synchronize().ok()) << communicator.error();
      for (int64_t i = 0; i < rows * 4; ++i) {
        EXPECT_EQ(ids[static_cast<size_t>(i)], i);
        EXPECT_EQ(flags[static_cast<size_t>(i / 4)], i / 4 + 1);
      }
    }
  });
}

TEST_P(NcclCommunicatorTest, AGatherIsOneLaunchHoweverManyArrays) {
  OnAllRanks([](int rank, Communicator& communicator) {
    std::vector<float> a(static_cast<size_t>(size()) * 2);
    std::vector<float> b = a;
    communicator.AllGather(
        {View(a, size(), 2), View(b, size(), 2)});  // divide evenly
    ASSERT_TRUE(communicator.Synchronize().ok()) << communicator.error();
    const FakeNcclCounts counts = FakeNccl::CountsOf(rank);
    EXPECT_EQ(counts.num_launches, 1);
    EXPECT_EQ(counts.collectives, (Strings{"all_gather", "all_gather"}));
  });
}

TEST_P(NcclCommunicatorTest, UnevenRowsAreReducedToEachOwnerInOneLaunch) {
  OnAllRanks([](int rank, Communicator& communicator) {
    if (size() == 1) return;  // every count divides
    const int64_t rows = size() + 1;
    std::vector<float> values(static_cast<size_t>(rows));
    communicator.ReduceScatter(View(values, rows, 1));
    ASSERT_TRUE(communicator.Synchronize().ok()) << communicator.error();
    const FakeNcclCounts counts = FakeNccl::CountsOf(rank);
    EXPECT_EQ(counts.num_launches, 1);
    EXPECT_EQ(counts.collectives,
              Strings(static_cast<size_t>(size()), "reduce"));
  });
}

TEST_P(NcclCommunicatorTest, BroadcastsFromEveryRoot) {
  OnAllRanks([](int rank, Communicator& communicator) {
    for (int root = 0; root < size(); ++root) {
      std::vector<float> values = ValuesOf(rank, 10);
      communicator.Broadcast(View(values, 2, 5), root);
      ASSERT_TRUE(communicator.Synchronize().ok()) << communicator.error();
      EXPECT_EQ(values, ValuesOf(root, 10));
    }
  });
}

TEST_P(NcclCommunicatorTest, CountsCallsBytesAndTime) {
  OnAllRanks([](int rank, Communicator& communicator) {
    std::vector<float> values = ValuesOf(rank, 12);
    communicator.AllReduce(View(values, 3, 4));
    communicator.AllReduce(View(values, 3, 4));
    communicator.AllReduce(View(values, 0, 4));
    communicator.Barrier();
    ASSERT_TRUE(communicator.Synchronize().ok()) << communicator.error();
    const CommunicatorStats stats = communicator.stats();
    EXPECT_EQ(stats.of(CollectiveOp::kAllReduce).num_calls, 3);
    EXPECT_EQ(stats.of(CollectiveOp::kAllReduce).num_bytes, 96);
    EXPECT_GT(stats.of(CollectiveOp::kAllReduce).time, absl::ZeroDuration());
    EXPECT_EQ(stats.of(CollectiveOp::kBarrier).num_calls, 1);
    EXPECT_EQ(FakeNccl::CountsOf(rank).num_launches, 3);
  });
}

// More than the ring holds, so that callers wait for the device in between.
TEST_P(NcclCommunicatorTest, ManyCallsMayBeUnfinished) {
  FakeNccl::SetPolls(0);
  OnAllRanks([](int rank, Communicator& communicator) {
    std::vector<float> values(600);
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(rank);
      communicator.AllReduce(TensorView(&values[i], DType::kFloat32, {1, 1}));
    }
    ASSERT_TRUE(communicator.Synchronize().ok()) << communicator.error();
    const float sum = static_cast<float>(size() * (size() - 1) / 2);
    EXPECT_EQ(values, std::vector<float>(600, sum));
    EXPECT_EQ(communicator.stats().of(CollectiveOp::kAllReduce).num_calls, 600);
  });
}

TEST_P(NcclCommunicatorTest, AHealthyGroupIsFinalizedAndNotAborted) {
  std::vector<std::vector<float>> values;  // outlives the communicators
  for (int rank = 0; rank < size(); ++rank) values.push_back(ValuesOf(rank, 4));
  OnAllRanks([&](int rank, Communicator& communicator) {
    // No Synchronize: the destructor waits for the call.
    communicator.AllReduce(View(values[static_cast<size_t>(rank)], 2, 2));
  });
  for (int rank = 0; rank < size(); ++rank) {
    const FakeNcclCounts counts = FakeNccl::CountsOf(rank);
    EXPECT_EQ(counts.num_finalized, 1);
    EXPECT_EQ(counts.num_destroyed, 1);
    EXPECT_EQ(counts.num_aborts, 0);
  }
}

TEST_P(NcclCommunicatorTest, APeerThatHangsIsATimeoutAndAbortsOnce) {
  FakeNccl::HangNext(size() - 1);
  OnAllRanks(
      [](int rank, Communicator& communicator) {
        std::vector<float> values = {1.0f};
        const absl::Time begin = absl::Now();
        communicator.AllReduce(View(values, 1, 1));
        const absl::Status late = communicator.Synchronize();
        EXPECT_TRUE(absl::IsDeadlineExceeded(late)) << late;
        EXPECT_NE(late.message().find("all_reduce"), absl::string_view::npos);
        EXPECT_NE(late.message().find(absl::StrCat("rank ", rank)),
                  absl::string_view::npos);
        EXPECT_GE(absl::Now() - begin, absl::Milliseconds(200));
        EXPECT_LT(absl::Now() - begin, absl::Seconds(2));
        communicator.Barrier();  // does nothing
        communicator.Abort(absl::AbortedError("later"));
        EXPECT_EQ(communicator.Synchronize(), late);
        EXPECT_EQ(communicator.stats().of(CollectiveOp::kBarrier).num_calls, 0);
      },
      absl::Milliseconds(200));
  for (int rank = 0; rank < size(); ++rank) {
    EXPECT_EQ(FakeNccl::CountsOf(rank).num_aborts, 1);
    EXPECT_EQ(FakeNccl::CountsOf(rank).num_finalized, 0);
  }
}

TEST_P(NcclCommunicatorTest, AnAsyncErrorIsFoundWithoutACall) {
  OnAllRanks([](int rank, Communicator& communicator) {
    if (rank == 0) FakeNccl::SetAsyncError(0, ncclRemoteError);
    if (rank != 0) return;
    const absl::Time begin = absl::Now();
    while (communicator.error().ok() &&
           absl::Now() - begin < absl::Seconds(5)) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    EXPECT_TRUE(absl::IsUnavailable(communicator.error()))
        << communicator.error();
    EXPECT_EQ(communicator.Synchronize(), communicator.error());
    EXPECT_EQ(FakeNccl::CountsOf(0).num_aborts, 1);
  });
}

TEST_P(NcclCommunicatorTest, ARefusedCallPoisons) {
  OnAllRanks([](int rank, Communicator& communicator) {
    FakeNccl::FailNextCall(rank, ncclInternalError);
    std::vector<float> values(static_cast<size_t>(size()) + 1);
    communicator.AllGather({View(values, size() + 1, 1)});  // in a group
    EXPECT_TRUE(absl::IsInternal(communicator.Synchronize()))
        << communicator.error();
    EXPECT_EQ(FakeNccl::CountsOf(rank).num_aborts, 1);
  });
}

TEST_P(NcclCommunicatorTest, AbortEndsAWaitSoonAndPeersHearOfIt) {
  FakeNccl::SetNoticesAborts(true);
  OnAllRanks([](int rank, Communicator& communicator) {
    std::vector<float> values = {1.0f};
    const absl::Time begin = absl::Now();
    std::thread aborter([&] {
      absl::SleepFor(absl::Milliseconds(50));
      if (rank == 0)
        communicator.Abort(absl::AbortedError("the epoch is over"));
    });
    // The last rank never calls.
    if (rank < size() - 1) communicator.AllReduce(View(values, 1, 1));
    while (communicator.error().ok() &&
           absl::Now() - begin < absl::Seconds(5)) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    const absl::Status status = communicator.Synchronize();
    EXPECT_EQ(status.code(), rank == 0 ? absl::StatusCode::kAborted
                                       : absl::StatusCode::kUnavailable)
        << status;
    EXPECT_LT(absl::Now() - begin, absl::Seconds(2));
    aborter.join();
  });
  for (int rank = 0; rank < size(); ++rank) {
    EXPECT_EQ(FakeNccl::CountsOf(rank).num_aborts, 1);
  }
}

TEST_P(NcclCommunicatorTest, AbortEndsALaunchThatIsInProgress) {
  FakeNccl::SetPolls(1'000'000'000);
  OnAllRanks([](int rank, Communicator& communicator) {
    std::thread aborter([&] {
      absl::SleepFor(absl::Milliseconds(50));
      communicator.Abort(absl::OkStatus());
    });
    std::vector<float> values = {1.0f};
    const absl::Time begin = absl::Now();
    communicator.AllReduce(View(values, 1, 1));
    EXPECT_TRUE(absl::IsAborted(communicator.Synchronize()))
        << communicator.error();
    EXPECT_LT(absl::Now() - begin, absl::Seconds(2));
    aborter.join();
    EXPECT_EQ(FakeNccl::CountsOf(rank).num_aborts, 1);
  });
}

TEST_P(NcclCommunicatorTest, AHungCallHoldsUpTheDestructorNoLonger) {
  FakeNccl::HangNext(0);
  std::vector<float> values(static_cast<size_t>(size()), 1.0f);
  const absl::Time begin = absl::Now();
  OnAllRanks(
      [&](int rank, Communicator& communicator) {
        communicator.AllReduce(TensorView(&values[static_cast<size_t>(rank)],
                                          DType::kFloat32, {1, 1}));
      },
      absl::Milliseconds(200));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(2));
  for (int rank = 0; rank < size(); ++rank) {
    EXPECT_EQ(FakeNccl::CountsOf(rank).num_aborts, 1);
  }
}

TEST_P(NcclCommunicatorTest, ARankThatDoesNotConnectIsATimeout) {
  ExchangeHub hub(size());
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < size(); ++rank) {
    ranks.emplace_back([&, rank] {
      if (rank == size() - 1) {
        ASSERT_TRUE(
            ExchangeUniqueId(rank, absl::OkStatus(), hub.ForRank(rank)).ok());
        return;  // knows the id, and dies
      }
      const Stream stream;
      const auto made = CreateNcclCommunicator(
          rank, size(), {.timeout = absl::Milliseconds(200)}, stream.get(),
          hub.ForRank(rank));
      EXPECT_TRUE(absl::IsDeadlineExceeded(made.status())) << made.status();
      EXPECT_EQ(FakeNccl::CountsOf(rank).num_aborts, 1);
    });
  }
  for (std::thread& rank : ranks) rank.join();
}

TEST_P(NcclCommunicatorTest, ARankWithoutMemoryTellsThePeers) {
  FailNextAllocation();
  ExchangeHub hub(size());
  std::atomic<int> num_exhausted = 0;
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < size(); ++rank) {
    ranks.emplace_back([&, rank] {
      const Stream stream;
      const auto made = CreateNcclCommunicator(rank, size(), {}, stream.get(),
                                               hub.ForRank(rank));
      if (absl::IsResourceExhausted(made.status())) {
        ++num_exhausted;
      } else {
        EXPECT_TRUE(absl::IsFailedPrecondition(made.status())) << made.status();
      }
    });
  }
  for (std::thread& rank : ranks) rank.join();
  EXPECT_EQ(num_exhausted, 1);
}

INSTANTIATE_TEST_SUITE_P(Sizes, NcclCommunicatorTest,
                         ::testing::Values(1, 2, 3, 4));

}  // namespace
}  // namespace blockserve
