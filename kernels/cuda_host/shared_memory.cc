#include "kernels/cuda_host/shared_memory.h"

#include <sys/mman.h>

#include <cstdlib>
#include <string>

#include "kernels/cuda_host/failure.h"
#include "kernels/cuda_host/poison.h"
#include "kernels/cuda_host/sanitizers.h"

namespace blockserve::cuda_host {
namespace {

constexpr size_t kAlignment = 128;

// ThreadSanitizer orders a malloc after the free of the same address, which
// would order CTAs that have nothing to do with each other: there memory comes
// from a range that is used once and then left.
void* AllocateOnce(size_t num_bytes) {
  constexpr size_t kRangeBytes = size_t{1} << 26;
  thread_local char* next = nullptr;
  thread_local char* end = nullptr;
  const size_t room = (num_bytes / kAlignment + 1) * kAlignment;
  if (next == nullptr || static_cast<size_t>(end - next) < room) {
    void* range = mmap(nullptr, kRangeBytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) Fail("no shared memory");
    next = static_cast<char*>(range);
    end = next + kRangeBytes;
  }
  void* piece = next;
  next += room;
  return piece;
}

void* Allocate(size_t num_bytes) {
  void* piece = nullptr;
  if (HasThreadSanitizer()) {
    piece = AllocateOnce(num_bytes);
  } else if (posix_memalign(&piece, kAlignment, num_bytes) != 0) {
    Fail("no shared memory");
  }
  Poison(piece, num_bytes);
  return piece;
}

void Free(void* piece) {
  if (!HasThreadSanitizer()) std::free(piece);
}

}  // namespace

void SharedMemory::Reset(size_t dynamic_bytes) {
  Clear();
  if (dynamic_bytes > 0) dynamic_ = Allocate(dynamic_bytes);
}

void SharedMemory::Clear() {
  for (const Piece& piece : pieces_) Free(piece.data);
  pieces_.clear();
  if (dynamic_ != nullptr) Free(dynamic_);
  dynamic_ = nullptr;
  static_bytes_ = 0;
}

void* SharedMemory::Static(const void* key, size_t num_bytes) {
  for (const Piece& piece : pieces_) {
    if (piece.key == key) return piece.data;
  }
  static_bytes_ += num_bytes;
  if (static_bytes_ > kDefaultSharedBytes) {
    Fail("static shared memory of " + std::to_string(static_bytes_) +
         " bytes: a kernel can have " + std::to_string(kDefaultSharedBytes));
  }
  pieces_.push_back({key, Allocate(num_bytes)});
  return pieces_.back().data;
}

}  // namespace blockserve::cuda_host
