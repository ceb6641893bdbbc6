// What every communicator must do, over each that runs on this machine.
#include <gtest/gtest.h>

#include <csignal>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "parallel/api/communicator.h"
#include "parallel/api/shard.h"
#include "parallel/backends/create_communicator.h"
#include "parallel/conformance/exchange_hub.h"
#include "parallel/local/thread_group.h"

namespace blockserve {
namespace {

struct Kind {
  std::string name;  // "local", "shm" or "gloo"
  int size = 1;
};

class CommunicatorTest : public ::testing::TestWithParam<Kind> {
 protected:
  // As our processes do: Gloo writes to peers that have gone.
  static void SetUpTestSuite() { std::signal(SIGPIPE, SIG_IGN); }

  int size() const { return GetParam().size; }

  // Runs `body` on every rank, each on a thread of its own.
  void OnAllRanks(const std::function<void(int, Communicator&)>& body,
                  absl::Duration timeout = absl::Seconds(10)) {
    const CommunicatorLimits limits = {.max_bytes = 1 << 20,
                                       .timeout = timeout};
    std::vector<std::unique_ptr<Communicator>> threads;
    if (GetParam().name == "local") threads = CreateThreadGroup(size(), limits);
    ExchangeHub hub(size());
    std::vector<std::thread> ranks;
    for (int rank = 0; rank < size(); ++rank) {
      ranks.emplace_back([&, rank] {
        if (GetParam().name == "local") {
          // Ends with the rank, as the others do.
          const std::unique_ptr<Communicator> own =
              std::move(threads[static_cast<size_t>(rank)]);
          body(rank, *own);
          return;
        }
        auto made = CreateCommunicator(GetParam().name, rank, size(), limits,
                                       /*one_host=*/true, "127.0.0.1",
                                       hub.ForRank(rank));
        ASSERT_TRUE(made.ok()) << made.status();
        body(rank, **made);
      });
    }
    for (std::thread& rank : ranks) rank.join();
  }

  // Values that do not add up exactly, so that the order of a sum shows.
  static std::vector<float> ValuesOf(int rank, int64_t count, int salt = 0) {
    std::mt19937 random(static_cast<uint32_t>(rank * 1000 + salt));
    std::uniform_real_distribution<float> distribution(-1.0f, 1.0f);
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = distribution(random);
    return values;
  }

  // In rank order, as the contract's bits are.
  std::vector<float> SumOf(int64_t count, int salt = 0) const {
    std::vector<float> sum = ValuesOf(0, count, salt);
    for (int rank = 1; rank < size(); ++rank) {
      const std::vector<float> term = ValuesOf(rank, count, salt);
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += term[i];
    }
    return sum;
  }

  static TensorView View(std::vector<float>& values, int64_t rows,
                         int64_t dim) {
    return TensorView(values.data(), DType::kFloat32, {rows, dim});
  }
};

TEST_P(CommunicatorTest, AllReduceSumsInRankOrderOnAllRanks) {
  OnAllRanks([&](int rank, Communicator& communicator) {
    EXPECT_EQ(communicator.rank(), rank);
    EXPECT_EQ(communicator.size(), size());
    int salt = 0;
    for (const int64_t rows : {1, 3, 64, 256}) {
      for (const int64_t dim : {1, 5, 768}) {
        std::vector<float> values = ValuesOf(rank, rows * dim, ++salt);
        communicator.AllReduce(View(values, rows, dim));
        ASSERT_TRUE(communicator.Synchronize().ok()) << communicator.error();
        EXPECT_EQ(values, SumOf(rows * dim, salt)) << rows << " x " << dim;
      }
    }
  });
}

TEST_P(CommunicatorTest, ReduceScatterGivesARankItsRowsOfTheSameSum) {
  OnAllRanks([&](int rank, Communicator& communicator) {
    for (const int64_t rows : {1, 2, 3, 7, 64}) {
      const int64_t dim = 48;
      std::vector<float> values =
          ValuesOf(rank, rows * dim, static_cast<int>(rows));
      communicator.ReduceScatter(View(values, rows, dim));
      ASSERT_TRUE(communicator.Synchronize().ok()) << communicator.error();
      const std::vector<float> sum = SumOf(rows * dim, static_cast<int>(rows));
      const ShardRange own = RowsOf(rows, rank, size());
      for (int64_t i = own.begin * dim; i < own.end * dim; ++i) {
        ASSERT_EQ(values[static_cast<size_t>(i)], sum[static_cast<size_t>(i)]);
      }
    }
  });
}

TEST_P(CommunicatorTest, AllGatherBringsAllRowsOfAllArrays) {
  OnAllRanks([&](int rank, Communicator& communicator) {
    for (const int64_t rows : {1, 2, 5, 64}) {
      std::vector<int32_t> ids(static_cast<size_t>(rows * 4), -1);
      std::vector<float> logprobs(static_cast<size_t>(rows * 3), -1.0f);
      std::vector<uint8_t> flags(static_cast<size_t>(rows), 0);
      const ShardRange own = RowsOf(rows, rank, size());
      for (int64_t row = own.begin; row < own.end; ++row) {
        for (int64_t i = 0; i < 4; ++i) {
          ids[static_cast<size_t>(row * 4 + i)] =
              static_cast<int32_t>(row * 10 + i);
        }
        for (int64_t i = 0; i < 3; ++i) {
          logprobs[static_cast<size_t>(row * 3 + i)] =
              static_cast<float>(row) + 0.25f * static_cast<float>(i);
        }
        flags[static_cast<size_t>(row)] = static_cast<uint8_t>(row + 1);
      }
      const std::vector<TensorView> arrays = {
          TensorView(ids.data(), DType::kInt32, {rows, 4}),
          TensorView(logprobs.data(), DType::kFloat32, {rows, 3}),
          TensorView(flags.data(), DType::kUint8, {rows})};
      communicator.AllGather(arrays);
      ASSERT_TRUE(communicator.Synchronize().ok()) << communicator.error();
      for (int64_t row = 0; row < rows; ++row) {
        EXPECT_EQ(ids[static_cast<size_t>(row * 4 + 3)], row * 10 + 3);
        EXPECT_EQ(logprobs[static_cast<size_t>(row * 3 + 2)],
                  static_cast<float>(row) + 0.5f);
        EXPECT_EQ(flags[static_cast<size_t>(row)], row + 1);
      }
    }
  });
}

TEST_P(CommunicatorTest, BroadcastsFromEveryRoot) {
  OnAllRanks([&](int rank, Communicator& communicator) {
    for (int root = 0; root < size(); ++root) {
      std::vector<float> values = ValuesOf(rank, 100, root);
      communicator.Broadcast(View(values, 10, 10), root);
      ASSERT_TRUE(communicator.Synchronize().ok()) << communicator.error();
      EXPECT_EQ(values, ValuesOf(root, 100, root));
    }
  });
}

TEST_P(CommunicatorTest, CallsWithoutRowsDoNothing) {
  OnAllRanks([&](int, Communicator& communicator) {
    std::vector<float> none(1);
    communicator.AllReduce(View(none, 0, 4));
    communicator.ReduceScatter(View(none, 0, 4));
    communicator.AllGather({View(none, 0, 4)});
    communicator.Barrier();
    EXPECT_TRUE(communicator.Synchronize().ok()) << communicator.error();
  });
}

TEST_P(CommunicatorTest, CountsCallsBytesAndTime) {
  OnAllRanks([&](int rank, Communicator& communicator) {
    std::vector<float> values = ValuesOf(rank, 12);
    communicator.AllReduce(View(values, 3, 4));
    communicator.AllReduce(View(values, 3, 4));
    ASSERT_TRUE(communicator.Synchronize().ok());
    const CollectiveCount count =
        communicator.stats().of(CollectiveOp::kAllReduce);
    EXPECT_EQ(count.num_calls, 2);
    EXPECT_EQ(count.num_bytes, 96);
    EXPECT_GT(count.time, absl::ZeroDuration());
  });
}

TEST_P(CommunicatorTest, ManyRoundsStayInStep) {
  OnAllRanks([&](int rank, Communicator& communicator) {
    for (int i = 0; i < 500; ++i) {
      std::vector<float> values = {static_cast<float>(rank + i)};
      communicator.AllReduce(View(values, 1, 1));
      ASSERT_TRUE(communicator.error().ok()) << communicator.error();
      float expected = 0;
      for (int r = 0; r < size(); ++r) expected += static_cast<float>(r + i);
      ASSERT_EQ(values[0], expected);
    }
  });
}

TEST_P(CommunicatorTest, APeerThatDoesNotComeIsATimeoutAndPoisons) {
  OnAllRanks(
      [&](int rank, Communicator& communicator) {
        if (rank == size() - 1) {
          absl::SleepFor(absl::Milliseconds(600));
          return;
        }
        std::vector<float> values = {1.0f};
        const absl::Time begin = absl::Now();
        communicator.AllReduce(View(values, 1, 1));
        const absl::Status late = communicator.Synchronize();
        EXPECT_TRUE(absl::IsDeadlineExceeded(late) || absl::IsUnavailable(late))
            << late;
        EXPECT_LT(absl::Now() - begin, absl::Seconds(2));
        EXPECT_NE(late.message().find("all_reduce"), absl::string_view::npos)
            << late;
        const int64_t num_calls =
            communicator.stats().of(CollectiveOp::kBarrier).num_calls;
        communicator.Barrier();
        EXPECT_EQ(communicator.Synchronize(), late);
        EXPECT_EQ(communicator.stats().of(CollectiveOp::kBarrier).num_calls,
                  num_calls);
      },
      absl::Milliseconds(300));
}

TEST_P(CommunicatorTest, AbortEndsAWaitSoon) {
  OnAllRanks([&](int rank, Communicator& communicator) {
    if (rank == size() - 1) {
      absl::SleepFor(absl::Milliseconds(300));
      return;
    }
    std::thread aborter([&] {
      absl::SleepFor(absl::Milliseconds(50));
      communicator.Abort(absl::AbortedError("the epoch is over"));
    });
    std::vector<float> values = {1.0f};
    const absl::Time begin = absl::Now();
    communicator.AllReduce(View(values, 1, 1));
    EXPECT_LT(absl::Now() - begin, absl::Milliseconds(250));
    EXPECT_FALSE(communicator.Synchronize().ok());
    aborter.join();
  });
}

TEST_P(CommunicatorTest, ARankThatFailsTakesThePeersAlong) {
  OnAllRanks([&](int rank, Communicator& communicator) {
    std::vector<float> values = {1.0f};
    communicator.AllReduce(View(values, 1, 1));
    ASSERT_TRUE(communicator.Synchronize().ok()) << communicator.error();
    if (rank == 0) return;  // and is destroyed
    const absl::Time begin = absl::Now();
    communicator.AllReduce(View(values, 1, 1));
    EXPECT_FALSE(communicator.Synchronize().ok());
    EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
  });
}

std::vector<Kind> Kinds() {
  std::vector<Kind> kinds;
  for (const int size : {2, 3, 4, 5}) kinds.push_back({"local", size});
  for (const int size : {2, 3, 4}) kinds.push_back({"shm", size});
  for (const int size : {2, 3, 4}) kinds.push_back({"gloo", size});
  return kinds;
}

INSTANTIATE_TEST_SUITE_P(All, CommunicatorTest, ::testing::ValuesIn(Kinds()),
                         [](const auto& info) {
                           return absl::StrCat(info.param.name, "_",
                                               info.param.size);
                         });

}  // namespace
}  // namespace blockserve
