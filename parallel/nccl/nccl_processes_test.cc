// The communicator between processes, over the fakes: ranks that are killed,
// hang, and come back as another group.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "kernels/api/tensor_view.h"
#include "parallel/nccl/nccl_communicator.h"
#include "parallel/nccl/testing/fake_cuda.h"
#include "parallel/nccl/testing/fake_nccl.h"
#include "parallel/nccl/testing/file_exchange.h"

namespace blockserve {
namespace {

constexpr int kSize = 3;
constexpr int kPassed = 7;  // an exit code that nothing else has

class NcclProcessesTest : public testing::Test {
 protected:
  // Of rank `rank`: whether it went as it should.
  using Body = std::function<bool(int rank, Communicator& communicator)>;

  // Starts a process for each rank; `body` ends it.
  void StartRanks(const Body& body, absl::Duration timeout) {
    const std::string path = absl::StrCat(testing::TempDir(), "/group.",
                                          getpid(), ".", num_groups_++);
    processes_.clear();
    for (int rank = 0; rank < kSize; ++rank) {
      const pid_t process = fork();
      ASSERT_GE(process, 0);
      if (process == 0) _exit(RunRank(path, rank, body, timeout));
      processes_.push_back(process);
    }
  }

  static int RunRank(const std::string& path, int rank, const Body& body,
                     absl::Duration timeout) {
    FakeNccl::Reset();
    FakeNccl::ShareAmongProcesses(path);
    cudaStream_t stream = nullptr;
    cudaStreamCreate(&stream);
    bool passed = false;
    {
      auto made = CreateNcclCommunicator(
          rank, kSize, {.max_bytes = 1 << 16, .timeout = timeout}, stream,
          ExchangeByFiles(path, rank, kSize));
      passed = made.ok() && body(rank, **made);
    }
    cudaStreamDestroy(stream);
    for (const std::string& misuse : TakeMisuses()) {
      std::fprintf(stderr, "rank %d: %s\n", rank, misuse.c_str());
      passed = false;
    }
    return passed ? kPassed : 1;
  }

  // The exit code of a rank's process, or minus the signal that ended it.
  int Await(int rank) {
    int status = 0;
    EXPECT_EQ(waitpid(processes_[static_cast<size_t>(rank)], &status, 0),
              processes_[static_cast<size_t>(rank)]);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  }

  // Sums ones; whether all took part.
  static bool Sums(Communicator& communicator) {
    std::vector<float> values(10, 1.0f);
    communicator.AllReduce(TensorView(values.data(), DType::kFloat32, {2, 5}));
    return communicator.Synchronize().ok() &&
           values == std::vector<float>(10, float{kSize});
  }

  // Files of an earlier test stay.
  static inline int num_groups_ = 0;
  std::vector<pid_t> processes_;
};

TEST_F(NcclProcessesTest, SumsAndGathers) {
  StartRanks(
      [](int rank, Communicator& communicator) {
        for (int i = 0; i < 20; ++i) {
          if (!Sums(communicator)) return false;
        }
        std::vector<int32_t> ids(2 * kSize, -1);
        ids[static_cast<size_t>(2 * rank)] = rank;
        ids[static_cast<size_t>(2 * rank + 1)] = rank;
        const TensorView view(ids.data(), DType::kInt32, {kSize, 2});
        communicator.AllGather(absl::MakeConstSpan(&view, 1));
        return communicator.Synchronize().ok() &&
               ids == std::vector<int32_t>({0, 0, 1, 1, 2, 2});
      },
      absl::Seconds(20));
  for (int rank = 0; rank < kSize; ++rank) EXPECT_EQ(Await(rank), kPassed);
}

TEST_F(NcclProcessesTest, AKilledRankIsFoundAndTheNextGroupGoesOn) {
  StartRanks(
      [](int rank, Communicator& communicator) {
        if (!Sums(communicator)) return false;
        if (rank == 1) kill(getpid(), SIGKILL);
        const absl::Time begin = absl::Now();
        std::vector<float> values(4, 1.0f);
        communicator.AllReduce(
            TensorView(values.data(), DType::kFloat32, {1, 4}));
        const absl::Status status = communicator.Synchronize();
        // NCCL has noticed, long before the deadline.
        return absl::IsUnavailable(status) &&
               absl::Now() - begin < absl::Seconds(15);
      },
      absl::Seconds(30));
  // A process that has ended but is not waited for is not gone.
  EXPECT_EQ(Await(1), -SIGKILL);
  EXPECT_EQ(Await(0), kPassed);
  EXPECT_EQ(Await(2), kPassed);

  StartRanks([](int, Communicator& communicator) { return Sums(communicator); },
             absl::Seconds(20));
  for (int rank = 0; rank < kSize; ++rank) EXPECT_EQ(Await(rank), kPassed);
}

TEST_F(NcclProcessesTest, AHangingRankIsLate) {
  StartRanks(
      [](int rank, Communicator& communicator) {
        if (!Sums(communicator)) return false;
        if (rank == 2) {
          // As long as the others wait for it, and longer.
          absl::SleepFor(absl::Seconds(2));
          return true;
        }
        std::vector<float> values(4, 1.0f);
        communicator.AllReduce(
            TensorView(values.data(), DType::kFloat32, {1, 4}));
        return absl::IsDeadlineExceeded(communicator.Synchronize());
      },
      absl::Milliseconds(500));
  for (int rank = 0; rank < kSize; ++rank) EXPECT_EQ(Await(rank), kPassed);
}

}  // namespace
}  // namespace blockserve
