#include "kernels/cuda_host/async_copies.h"

#include <cstdint>
#include <cstring>

#include "kernels/cuda_host/failure.h"

namespace blockserve::cuda_host {
namespace {

constexpr int kCopyBytes = 16;

bool IsAligned(const void* address) {
  return reinterpret_cast<uintptr_t>(address) % kCopyBytes == 0;
}

}  // namespace

void AsyncCopies::Issue(void* destination, const void* source) {
  if (!IsAligned(destination) || !IsAligned(source)) {
    Fail("cp.async of 16 bytes: an address is not aligned to 16 bytes");
  }
  // By the thread that copies, as ThreadSanitizer should see it.
  std::memset(destination, 0xff, kCopyBytes);
  copies_.push_back({destination, source, current_group_});
}

void AsyncCopies::Wait(int num_groups) {
  size_t num_left = 0;
  for (const Copy& copy : copies_) {
    if (copy.group < current_group_ - num_groups) {
      std::memcpy(copy.destination, copy.source, kCopyBytes);
    } else {
      copies_[num_left++] = copy;
    }
  }
  copies_.resize(num_left);
}

void AsyncCopies::Reset() {
  copies_.clear();
  current_group_ = 0;
}

}  // namespace blockserve::cuda_host
