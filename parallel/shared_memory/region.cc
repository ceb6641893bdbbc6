#include "parallel/shared_memory/region.h"

#include <glog/logging.h>

#include <new>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace blockserve {
namespace {

constexpr size_t kAlignment = 128;
constexpr uint64_t kMagic = 0x31304e4749524253;  // "SBRIGN01"

size_t RoundUp(size_t num_bytes) {
  return (num_bytes + kAlignment - 1) / kAlignment * kAlignment;
}

static_assert(std::atomic<uint32_t>::is_always_lock_free);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

}  // namespace

struct alignas(kAlignment) Region::Header {
  uint64_t magic;
  RegionKey key;
  int64_t size;
  uint64_t area_bytes;
  std::atomic<int32_t> broken_by;
};

size_t Region::NumBytes(int size, size_t max_bytes) {
  return sizeof(Header) + static_cast<size_t>(size) *
                              (sizeof(RankSlot) + 2 * RoundUp(max_bytes));
}

Region Region::Format(void* memory, int size, size_t max_bytes,
                      const RegionKey& key) {
  CHECK(1 <= size && size <= kMaxRegionRanks) << size;
  CHECK_EQ(reinterpret_cast<uintptr_t>(memory) % kAlignment, 0u);
  const Region region(memory, size, RoundUp(max_bytes));
  for (int rank = 0; rank < size; ++rank) new (&region.slot(rank)) RankSlot();
  Header& header = *new (memory) Header();
  header.magic = kMagic;
  header.key = key;
  header.size = size;
  header.area_bytes = region.area_bytes_;
  return region;
}

absl::StatusOr<Region> Region::Open(void* memory, int size, size_t max_bytes,
                                    const RegionKey& key) {
  const Region region(memory, size, RoundUp(max_bytes));
  const Header& header = region.header();
  if (header.magic != kMagic || header.key != key) {
    return absl::FailedPreconditionError(
        "this memory is not a region of this epoch");
  }
  if (header.size != size || header.area_bytes != region.area_bytes_) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the region is of ", header.size, " ranks with ", header.area_bytes,
        " bytes each, expected ", size, " with ", region.area_bytes_));
  }
  return region;
}

Region::Header& Region::header() const {
  return *std::launder(reinterpret_cast<Header*>(memory_));
}

RankSlot& Region::slot(int rank) const {
  return *std::launder(reinterpret_cast<RankSlot*>(
      memory_ + sizeof(Header) + static_cast<size_t>(rank) * sizeof(RankSlot)));
}

std::byte* Region::area(int rank, uint32_t round) const {
  return memory_ + sizeof(Header) +
         static_cast<size_t>(size_) * sizeof(RankSlot) +
         (2 * static_cast<size_t>(rank) + round % 2) * area_bytes_;
}

std::atomic<int32_t>& Region::broken_by() const { return header().broken_by; }

}  // namespace blockserve
