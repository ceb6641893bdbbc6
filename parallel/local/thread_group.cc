#include "parallel/local/thread_group.h"

#include <glog/logging.h>
#include <sys/mman.h>

#include "parallel/shared_memory/region.h"
#include "parallel/shared_memory/region_communicator.h"

namespace blockserve {
namespace {

// Zeroed pages that are there once they are touched: what a group never
// carries costs nothing.
std::shared_ptr<void> MapPages(size_t num_bytes) {
  void* const memory = mmap(nullptr, num_bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  PCHECK(memory != MAP_FAILED) << num_bytes << " bytes";
  return {memory, [num_bytes](void* pages) { munmap(pages, num_bytes); }};
}

}  // namespace

std::vector<std::unique_ptr<Communicator>> CreateThreadGroup(
    int size, const CommunicatorLimits& limits) {
  CHECK(1 <= size && size <= kMaxRegionRanks) << size;
  const std::shared_ptr<void> memory =
      MapPages(Region::NumBytes(size, limits.max_bytes));
  const Region region =
      Region::Format(memory.get(), size, limits.max_bytes, RegionKey{});
  std::vector<std::unique_ptr<Communicator>> group;
  for (int rank = 0; rank < size; ++rank) {
    group.push_back(std::make_unique<RegionCommunicator>("local", rank, region,
                                                         memory, limits));
  }
  return group;
}

}  // namespace blockserve
