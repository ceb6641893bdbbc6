// Who is not a peer at the ports that Gloo listens on, and a peer that does not
// come to them, with a process for each rank.
//
// Gloo takes whoever connects to a port first for the rank it waits for, and
// has no means to tell. What must hold is that ranks live on, that nothing
// wrong is taken for a result, and that the next epoch works.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <csignal>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
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
// What a busy machine may add to it; less than twice the timeout, so that one
// wait too many shows.
constexpr absl::Duration kSlack = absl::Milliseconds(900);
constexpr absl::Duration kPatience = absl::Seconds(20);
constexpr int kNumRounds = 10;
constexpr int kMaxDescriptors = 1024;

// How a rank's process ends.
enum Outcome {
  kAsExpected,
  kNoListener,  // the test missed what it is about
  kNotMade,
  kNotRun,
  kWrong,
  kLate,
  kListens,
};

// The addresses that this process listens on.
std::vector<sockaddr_in> OwnListeners() {
  std::vector<sockaddr_in> listeners;
  for (int fd = 0; fd < kMaxDescriptors; ++fd) {
    int listens = 0;
    socklen_t length = sizeof(listens);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) != 0 ||
        listens == 0) {
      continue;
    }
    sockaddr_in address = {};
    length = sizeof(address);
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0) {
      listeners.push_back(address);
    }
  }
  return listeners;
}

// Connects, says something and stays. False if nobody listens.
bool Visit(const sockaddr_in& address, const std::string& words) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  return fd >= 0 &&
         connect(fd, reinterpret_cast<const sockaddr*>(&address),
                 sizeof(address)) == 0 &&
         send(fd, words.data(), words.size(), MSG_NOSIGNAL) ==
             static_cast<ssize_t>(words.size());
}

// Of two ranks, the one with the lower address listens and the other connects:
// rank 0 listens for all.
absl::StatusOr<std::unique_ptr<Communicator>> Create(
    int rank, int size, const BlobExchange& exchange) {
  return CreateCommunicator(
      "gloo", rank, size,
      {.max_bytes = CheckedRounds::kBytes, .timeout = kTimeout},
      /*one_host=*/true, absl::StrCat("127.0.0.", rank + 1), exchange);
}

// OK results may not be wrong, whether they all come or not.
Outcome RunRounds(Communicator& communicator) {
  CheckedRounds rounds(communicator);
  for (int round = 0; round < kNumRounds; ++round) {
    if (!rounds.Run(round)) return kWrong;
  }
  return communicator.error().ok() ? kAsExpected : kNotRun;
}

Outcome RunQuietEpoch(int rank, int size, ProcessExchange& exchange) {
  const auto made = Create(rank, size, exchange.ForRank(rank));
  return made.ok() ? RunRounds(**made) : kNotMade;
}

void ExpectAll(Outcome expected, int size, RankProcesses& ranks) {
  for (int rank = 0; rank < size; ++rank) {
    EXPECT_EQ(ranks.Wait(rank, kPatience), expected) << "rank " << rank;
  }
}

TEST(GlooStrangerTest, NobodyListensOnceAllHaveConnected) {
  constexpr int kSize = 3;
  ProcessExchange exchange(kSize);
  RankProcesses ranks(kSize, [&](int rank) {
    std::vector<sockaddr_in> ports;
    const auto made = Create(rank, kSize, [&](const std::string& mine) {
      ports = OwnListeners();
      return exchange.ForRank(rank)(mine);
    });
    if (!made.ok()) return kNotMade;
    if (ports.empty()) return kNoListener;
    if (!OwnListeners().empty()) return kListens;
    for (const sockaddr_in& port : ports) {
      if (Visit(port, "rubbish")) return kListens;
    }
    return RunRounds(**made);
  });
  ExpectAll(kAsExpected, kSize, ranks);
}

struct Rubbish {
  std::string name;
  std::string words;
};

class GlooRubbishTest : public ::testing::TestWithParam<Rubbish> {};

TEST_P(GlooRubbishTest, BeforeThePeersIsAnErrorOfThatEpochOnly) {
  constexpr int kSize = 3;
  ProcessExchange exchange(kSize);
  RankProcesses ranks(kSize, [&](int rank) {
    int num_visits = 0;
    // All listen; nobody connects before the stranger has.
    const BlobExchange visited = [&](const std::string& mine) {
      auto blobs = exchange.ForRank(rank)(mine);
      if (rank == 0) {
        // None in the first exchange, which is of host names.
        for (const sockaddr_in& port : OwnListeners()) {
          num_visits += Visit(port, GetParam().words) ? 1 : 0;
        }
      }
      const auto done = exchange.ForRank(rank)("");
      return done.ok() ? blobs : done;
    };
    const absl::Time begin = absl::Now();
    {
      const auto made = Create(rank, kSize, visited);
      if (rank == 0 && num_visits != kSize - 1) return kNoListener;
      if (made.ok() && RunRounds(**made) == kWrong) return kWrong;
    }
    if (absl::Now() - begin > 2 * kTimeout + kSlack) return kLate;
    return RunQuietEpoch(rank, kSize, exchange);
  });
  ExpectAll(kAsExpected, kSize, ranks);
}

std::string RandomBytes(size_t count) {
  std::mt19937 random(4);
  std::string bytes(count, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

INSTANTIATE_TEST_SUITE_P(
    All, GlooRubbishTest,
    ::testing::Values(Rubbish{"silence", ""}, Rubbish{"a_byte", "x"},
                      Rubbish{"http", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
                      Rubbish{"zeros", std::string(5000, '\0')},
                      Rubbish{"ones", std::string(5000, '\xff')},
                      Rubbish{"random", RandomBytes(5000)}),
    [](const auto& info) { return info.param.name; });

TEST(GlooStrangerTest, APeerThatDoesNotConnectIsAnErrorWithinTheTimeout) {
  constexpr int kSize = 2;
  ProcessExchange exchange(kSize);
  RankProcesses ranks(kSize, [&](int rank) {
    const absl::Time begin = absl::Now();
    const auto made = Create(rank, kSize, [&](const std::string& mine) {
      auto blobs = exchange.ForRank(rank)(mine);
      // In the exchange of addresses, not in that of host names.
      if (rank == 1 && !OwnListeners().empty()) raise(SIGSTOP);
      return blobs;
    });
    if (made.ok()) return kNotRun;
    return absl::Now() - begin < kTimeout + kSlack ? kAsExpected : kLate;
  });
  EXPECT_EQ(ranks.Wait(0, kPatience), kAsExpected);
}

}  // namespace
}  // namespace blockserve
