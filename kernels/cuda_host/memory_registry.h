// Which memory the fake CUDA has given out.
#ifndef BLOCKSERVE_KERNELS_CUDA_HOST_MEMORY_REGISTRY_H_
#define BLOCKSERVE_KERNELS_CUDA_HOST_MEMORY_REGISTRY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace blockserve::cuda_host {

// The device of page-locked host memory.
inline constexpr int kHostMemory = -1;

// Not thread-safe.
class MemoryRegistry {
 public:
  // Poisoned and aligned to 256 bytes. Null if `device` (or kHostMemory, which
  // has no limit) would have more than `limit_bytes`.
  void* Allocate(int device, size_t num_bytes, size_t limit_bytes);
  // Whether `data` was given out for `device`, kHostMemory or not.
  bool Free(void* data, bool is_host);

  // Fails, saying `what`, unless [data, data + num_bytes) lies in one live
  // allocation of `device`.
  void Check(const void* data, size_t num_bytes, int device,
             const std::string& what) const;
  // Whether all of it is page-locked host memory.
  bool IsPinned(const void* data, size_t num_bytes) const;

  // The device, or kHostMemory, that `data` was given out for; `otherwise` if
  // it was not.
  int DeviceOf(const void* data, int otherwise) const;

  size_t BytesOn(int device) const;
  size_t DeviceBytes() const;  // of all devices

 private:
  struct Allocation {
    size_t num_bytes = 0;
    int device = 0;
  };

  const Allocation* Find(const void* data, size_t num_bytes) const;

  std::map<uintptr_t, Allocation> allocations_;  // by where they begin
  std::map<int, size_t> bytes_;                  // by device
};

}  // namespace blockserve::cuda_host

#endif  // BLOCKSERVE_KERNELS_CUDA_HOST_MEMORY_REGISTRY_H_
