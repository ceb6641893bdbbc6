#include "parallel/conformance/process_exchange.h"

#include <glog/logging.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <new>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace blockserve {
namespace {

constexpr int kMaxProcesses = 8;
constexpr size_t kMaxBlobBytes = 4096;
constexpr std::chrono::seconds kTimeout(10);

}  // namespace

// A rank writes its blob of round k beside that of round k - 1, which peers may
// still read, and then says that it has come to k.
struct ProcessExchange::Shared {
  struct Blob {
    size_t num_bytes = 0;
    std::array<char, kMaxBlobBytes> bytes;
  };
  struct Rank {
    std::atomic<uint32_t> num_rounds = 0;
    std::array<Blob, 2> blobs;
  };
  std::array<Rank, kMaxProcesses> ranks;

  std::string BlobOf(int rank, uint32_t round) const {
    const Blob& blob = ranks[static_cast<size_t>(rank)].blobs[round % 2];
    return std::string(blob.bytes.data(), blob.num_bytes);
  }
};

ProcessExchange::ProcessExchange(int size)
    : size_(size), shared_([] {
        void* const memory =
            mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        PCHECK(memory != MAP_FAILED);
        return new (memory) Shared();
      }()) {
  CHECK_LE(size, kMaxProcesses);
}

ProcessExchange::~ProcessExchange() { munmap(shared_, sizeof(Shared)); }

BlobExchange ProcessExchange::ForRank(int rank) {
  return [this, rank](const std::string& mine) { return Exchange(rank, mine); };
}

absl::StatusOr<std::vector<std::string>> ProcessExchange::Exchange(
    int rank, const std::string& mine) {
  CHECK_LE(mine.size(), kMaxBlobBytes);
  Shared::Rank& own = shared_->ranks[static_cast<size_t>(rank)];
  const uint32_t round = own.num_rounds.load() + 1;
  own.blobs[round % 2].num_bytes = mine.size();
  std::memcpy(own.blobs[round % 2].bytes.data(), mine.data(), mine.size());
  own.num_rounds.store(round);

  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::string> blobs;
  for (int peer = 0; peer < size_; ++peer) {
    const auto& their = shared_->ranks[static_cast<size_t>(peer)].num_rounds;
    while (their.load() < round) {
      if (std::chrono::steady_clock::now() - begin > kTimeout) {
        return absl::UnavailableError(
            absl::StrCat("rank ", peer, " does not exchange"));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    blobs.push_back(shared_->BlobOf(peer, round));
  }
  return blobs;
}

}  // namespace blockserve
