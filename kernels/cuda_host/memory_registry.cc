#include "kernels/cuda_host/memory_registry.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "kernels/cuda_host/failure.h"
#include "kernels/cuda_host/poison.h"

namespace blockserve::cuda_host {
namespace {

constexpr size_t kAlignment = 256;

}  // namespace

void* MemoryRegistry::Allocate(int device, size_t num_bytes,
                               size_t limit_bytes) {
  size_t& in_use = bytes_[device];
  if (device != kHostMemory &&
      (num_bytes > limit_bytes || in_use > limit_bytes - num_bytes)) {
    return nullptr;
  }
  void* data = nullptr;
  if (posix_memalign(&data, kAlignment, std::max<size_t>(num_bytes, 1)) != 0) {
    return nullptr;
  }
  Poison(data, num_bytes);
  in_use += num_bytes;
  allocations_[reinterpret_cast<uintptr_t>(data)] = {num_bytes, device};
  return data;
}

bool MemoryRegistry::Free(void* data, bool is_host) {
  const auto found = allocations_.find(reinterpret_cast<uintptr_t>(data));
  if (found == allocations_.end() ||
      (found->second.device == kHostMemory) != is_host) {
    return false;
  }
  bytes_[found->second.device] -= found->second.num_bytes;
  allocations_.erase(found);
  std::free(data);
  return true;
}

const MemoryRegistry::Allocation* MemoryRegistry::Find(const void* data,
                                                       size_t num_bytes) const {
  const auto address = reinterpret_cast<uintptr_t>(data);
  const auto behind = allocations_.upper_bound(address);
  if (behind == allocations_.begin()) return nullptr;
  const auto& [begin, allocation] = *std::prev(behind);
  const size_t offset = address - begin;
  if (offset > allocation.num_bytes ||
      num_bytes > allocation.num_bytes - offset) {
    return nullptr;
  }
  return &allocation;
}

void MemoryRegistry::Check(const void* data, size_t num_bytes, int device,
                           const std::string& what) const {
  const Allocation* const allocation = Find(data, num_bytes);
  if (allocation == nullptr) {
    Fail(what + " is not in memory that cudaMalloc gave and that is alive");
  }
  if (allocation->device == device) return;
  if (allocation->device == kHostMemory) Fail(what + " is host memory");
  Fail(what + " is on device " + std::to_string(allocation->device) +
       ", the stream on device " + std::to_string(device));
}

bool MemoryRegistry::IsPinned(const void* data, size_t num_bytes) const {
  const Allocation* const allocation = Find(data, num_bytes);
  return allocation != nullptr && allocation->device == kHostMemory;
}

int MemoryRegistry::DeviceOf(const void* data, int otherwise) const {
  const Allocation* const allocation = Find(data, 0);
  return allocation == nullptr ? otherwise : allocation->device;
}

size_t MemoryRegistry::BytesOn(int device) const {
  const auto found = bytes_.find(device);
  return found == bytes_.end() ? 0 : found->second;
}

size_t MemoryRegistry::DeviceBytes() const {
  size_t sum = 0;
  for (const auto& [device, num_bytes] : bytes_) {
    if (device != kHostMemory) sum += num_bytes;
  }
  return sum;
}

}  // namespace blockserve::cuda_host
