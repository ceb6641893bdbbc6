// The memory that ranks of one host work through: how it is laid out, in a
// segment between processes or on the heap between threads.
#ifndef BLOCKSERVE_PARALLEL_SHARED_MEMORY_REGION_H_
#define BLOCKSERVE_PARALLEL_SHARED_MEMORY_REGION_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"

namespace blockserve {

inline constexpr int kMaxRegionRanks = 64;

// Drawn at random for each epoch; says that a region is the one meant.
using RegionKey = std::array<uint64_t, 2>;

// Where a rank is, in cache lines of its own.
struct alignas(128) RankSlot {
  // Waited on as a futex: the number of the last round it has come to, modulo
  // 2^30, above kRankLeft and kGroupBroken.
  std::atomic<uint32_t> state;
  std::atomic<uint32_t> num_waiters;
  // What it calls in its last round of either parity (CallCode).
  std::array<std::atomic<uint64_t>, 2> calls;
};

inline constexpr uint32_t kGroupBroken = 1;  // somebody has given up
inline constexpr uint32_t kRankLeft = 2;     // this rank makes no more rounds
inline constexpr uint32_t kRoundUnit = 4;

// A view of a region; owns nothing, copies freely. For each rank a slot and two
// areas of `max_bytes`, for rounds of even and of odd number.
class Region {
 public:
  Region() = default;

  static size_t NumBytes(int size, size_t max_bytes);
  // Lays a region out in zeroed memory of NumBytes, aligned to 128 bytes.
  static Region Format(void* memory, int size, size_t max_bytes,
                       const RegionKey& key);
  // What Format made elsewhere. FAILED_PRECONDITION if it is another region or
  // another layout of one.
  static absl::StatusOr<Region> Open(void* memory, int size, size_t max_bytes,
                                     const RegionKey& key);

  int size() const { return size_; }
  RankSlot& slot(int rank) const;
  std::byte* area(int rank, uint32_t round) const;
  // Rank + 1 of the first that gave up; 0: none.
  std::atomic<int32_t>& broken_by() const;

 private:
  struct Header;

  Region(void* memory, int size, size_t area_bytes)
      : memory_(static_cast<std::byte*>(memory)),
        size_(size),
        area_bytes_(area_bytes) {}

  Header& header() const;

  std::byte* memory_ = nullptr;
  int size_ = 0;
  size_t area_bytes_ = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_SHARED_MEMORY_REGION_H_
