// What the other ranks see when one is killed or stopped in the middle of
// collectives, with a process for each rank.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "parallel/api/bootstrap.h"
#include "parallel/api/communicator.h"
#include "parallel/backends/create_communicator.h"
#include "parallel/conformance/checked_rounds.h"
#include "parallel/conformance/process_exchange.h"
#include "parallel/conformance/rank_processes.h"

namespace blockserve {
namespace {

constexpr absl::Duration kTimeout = absl::Milliseconds(500);
// What a busy machine may add to it.
constexpr absl::Duration kSlack = absl::Seconds(1);
constexpr absl::Duration kPatience = absl::Seconds(20);
constexpr int kMaxRanks = 4;

// What a rank tells the test, in memory that all share.
struct Report {
  std::atomic<int> num_rounds = 0;
  std::atomic<bool> was_wrong = false;
  // Of the error that ended it.
  std::atomic<absl::StatusCode> code = absl::StatusCode::kOk;
  std::atomic<double> seconds_waited = 0;
  std::atomic<bool> is_poisoned = false;
};
struct Board {
  std::array<Report, kMaxRanks> reports;
  std::array<char, 256> segment;  // the name of the group's shared memory
};

class SharedBoard {
 public:
  SharedBoard()
      : board_(new (mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Board()) {}
  ~SharedBoard() { munmap(board_, sizeof(Board)); }
  SharedBoard(const SharedBoard&) = delete;
  SharedBoard& operator=(const SharedBoard&) = delete;

  Report& of(int rank) { return board_->reports[static_cast<size_t>(rank)]; }
  Board* operator->() { return board_; }

 private:
  Board* const board_;
};

// Runs rounds until one fails, and reports.
void RunUntilError(Communicator& communicator, Report& report) {
  CheckedRounds rounds(communicator);
  absl::Time begin;
  while (communicator.error().ok()) {
    begin = absl::Now();
    if (!rounds.Run(report.num_rounds)) report.was_wrong = true;
    if (communicator.error().ok()) ++report.num_rounds;
  }
  report.seconds_waited = absl::ToDoubleSeconds(absl::Now() - begin);

  const absl::Status error = communicator.Synchronize();
  const CommunicatorStats before = communicator.stats();
  begin = absl::Now();
  communicator.Barrier();
  rounds.Run(0);
  report.is_poisoned =
      communicator.Synchronize() == error &&
      communicator.stats().of(CollectiveOp::kBarrier).num_calls ==
          before.of(CollectiveOp::kBarrier).num_calls &&
      absl::Now() - begin < kTimeout / 2;
  report.code = error.code();
}

struct Case {
  std::string kind;
  int size = 2;
  int lost = 0;
  int signal = SIGKILL;
};

class LostRankTest : public ::testing::TestWithParam<Case> {
 protected:
  // The body of a rank's process; its exit code.
  int RunRank(int rank) {
    // The name is all that says what of /dev/shm is this group's.
    const BlobExchange inner = exchange_.ForRank(rank);
    const BlobExchange exchange = [&](const std::string& mine) {
      const size_t slash = mine.find("/blockserve-");
      if (rank == 0 && GetParam().kind == "shm" && slash != std::string::npos) {
        mine.copy(board_->segment.data(), board_->segment.size() - 1, slash);
      }
      return inner(mine);
    };
    auto made = CreateCommunicator(
        GetParam().kind, rank, GetParam().size,
        {.max_bytes = CheckedRounds::kBytes, .timeout = kTimeout},
        /*one_host=*/true, "127.0.0.1", exchange);
    if (!made.ok()) return 1;
    RunUntilError(**made, board_.of(rank));
    return 0;
  }

  bool AllHaveRun(int num_rounds) {
    const absl::Time begin = absl::Now();
    for (int rank = 0; rank < GetParam().size; ++rank) {
      while (board_.of(rank).num_rounds < num_rounds) {
        if (absl::Now() - begin > kPatience) return false;
        absl::SleepFor(absl::Milliseconds(1));
      }
    }
    return true;
  }

  void ExpectNoSegment() {
    const std::string path = absl::StrCat("/dev/shm", board_->segment.data());
    ASSERT_EQ(path.rfind("/dev/shm/blockserve-", 0), 0u) << path;
    EXPECT_NE(access(path.c_str(), F_OK), 0) << path;
    EXPECT_EQ(errno, ENOENT) << std::strerror(errno);
  }

  ProcessExchange exchange_{GetParam().size};
  SharedBoard board_;
};

TEST_P(LostRankTest, EndsEverySurvivorsCallWithAnErrorThatStays) {
  const Case& lost = GetParam();
  RankProcesses ranks(lost.size, [this](int rank) { return RunRank(rank); });
  ASSERT_TRUE(AllHaveRun(20));
  ranks.Signal(lost.lost, lost.signal);

  for (int rank = 0; rank < lost.size; ++rank) {
    if (rank == lost.lost) continue;
    SCOPED_TRACE(absl::StrCat("rank ", rank));
    ASSERT_EQ(ranks.Wait(rank, kPatience), 0);
    const Report& report = board_.of(rank);
    const absl::StatusCode code = report.code;
    EXPECT_TRUE(code == absl::StatusCode::kUnavailable ||
                code == absl::StatusCode::kDeadlineExceeded)
        << absl::StatusCodeToString(code);
    EXPECT_LT(absl::Seconds(report.seconds_waited.load()), kTimeout + kSlack);
    EXPECT_TRUE(report.is_poisoned);
    EXPECT_FALSE(report.was_wrong);
  }

  if (lost.signal == SIGKILL) {
    EXPECT_EQ(ranks.Wait(lost.lost, kPatience), -SIGKILL);
  } else {
    // It wakes up in a group that has given it up.
    ranks.Signal(lost.lost, SIGCONT);
    ASSERT_EQ(ranks.Wait(lost.lost, kPatience), 0);
    EXPECT_NE(board_.of(lost.lost).code, absl::StatusCode::kOk);
    EXPECT_TRUE(board_.of(lost.lost).is_poisoned);
    EXPECT_FALSE(board_.of(lost.lost).was_wrong);
  }
  if (lost.kind == "shm") ExpectNoSegment();
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const char* const kind : {"shm", "gloo"}) {
    for (const int signal : {SIGKILL, SIGSTOP}) {
      cases.push_back({kind, 2, 0, signal});
      cases.push_back({kind, 2, 1, signal});
      cases.push_back({kind, 3, 1, signal});
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, LostRankTest, ::testing::ValuesIn(Cases()),
                         [](const auto& info) {
                           return absl::StrCat(
                               info.param.kind, "_", info.param.lost, "_of_",
                               info.param.size,
                               info.param.signal == SIGKILL ? "_killed"
                                                            : "_stopped");
                         });

}  // namespace
}  // namespace blockserve
