#include "kernels/cpu/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"

namespace blockserve::cpu {
namespace {

constexpr size_t kCacheLine = 64;
constexpr size_t kHugePage = size_t{2} << 20;
// Smaller allocations share arenas of this size: a matrix of a model of 85M
// parameters has 1 to 5 MB, and alone it would lie in small pages or waste most
// of a huge one.
constexpr size_t kArena = size_t{32} << 20;
constexpr size_t kMaxShared = kArena / 8;

// Linux hands out more than there is and ends the process that touches it, so
// what can never fit is refused here.
size_t MachineBytes() {
  return static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

size_t RoundUp(size_t num_bytes, size_t unit) {
  return (num_bytes + unit - 1) / unit * unit;
}

// Whole huge pages, not touched yet. Null if there is not enough.
std::shared_ptr<void> AllocateHugePages(size_t num_bytes) {
  const size_t room = RoundUp(num_bytes, kHugePage);
  void* const data = std::aligned_alloc(kHugePage, room);
  if (data == nullptr) return nullptr;
  // Fewer misses of the address translation: a third of a product of 256 rows.
  madvise(data, room, MADV_HUGEPAGE);
  return {data, std::free};
}

// Hands an arena out from its start to its end. Nothing comes back before all
// of it does, as weights and buffers of one model do.
class SharedArena {
 public:
  std::shared_ptr<void> Allocate(size_t num_bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const size_t room = RoundUp(num_bytes, kCacheLine);
    if (arena_ == nullptr || used_ + room > kArena) {
      arena_ = AllocateHugePages(kArena);
      used_ = 0;
      if (arena_ == nullptr) return nullptr;
    }
    char* const data = static_cast<char*>(arena_.get()) + used_;
    used_ += room;
    return {arena_, data};
  }

 private:
  std::mutex mutex_;
  std::shared_ptr<void> arena_;
  size_t used_ = 0;
};

std::shared_ptr<void> AllocateShared(size_t num_bytes) {
#ifdef __SANITIZE_ADDRESS__
  // So that the ends of buffers are watched.
  return {std::aligned_alloc(kCacheLine, RoundUp(num_bytes, kCacheLine)),
          std::free};
#else
  static auto& arena = *new SharedArena();
  return arena.Allocate(num_bytes);
#endif
}

}  // namespace

absl::StatusOr<Buffer> AllocateMemory(size_t num_bytes) {
  std::shared_ptr<void> data;
  if (num_bytes <= MachineBytes()) {
    const size_t room = std::max<size_t>(num_bytes, 1);
    data = room <= kMaxShared ? AllocateShared(room) : AllocateHugePages(room);
  }
  if (data == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot allocate ", num_bytes, " bytes of memory"));
  }
  std::memset(data.get(), 0, num_bytes);
  return Buffer(std::move(data), num_bytes);
}

}  // namespace blockserve::cpu
