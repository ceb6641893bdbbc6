// The shared memory of one CTA.
#ifndef BLOCKSERVE_KERNELS_CUDA_HOST_SHARED_MEMORY_H_
#define BLOCKSERVE_KERNELS_CUDA_HOST_SHARED_MEMORY_H_

#include <cstddef>
#include <vector>

namespace blockserve::cuda_host {

// What a device has without asking for more (cudaFuncSetAttribute).
inline constexpr size_t kDefaultSharedBytes = 48 << 10;

// Pieces of exactly the size asked for, so that AddressSanitizer sees an index
// out of bounds, full of ones: NaN to whoever reads before anybody has written.
class SharedMemory {
 public:
  SharedMemory() = default;
  ~SharedMemory() { Clear(); }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  // Forgets everything; makes `dynamic_bytes` of dynamic shared memory.
  void Reset(size_t dynamic_bytes);
  void Clear();

  // The array that `key` names, made when it is first asked for. Fails beyond
  // what a launch may have.
  void* Static(const void* key, size_t num_bytes);
  void* dynamic() const { return dynamic_; }

 private:
  struct Piece {
    const void* key = nullptr;
    void* data = nullptr;
  };

  std::vector<Piece> pieces_;
  void* dynamic_ = nullptr;
  size_t static_bytes_ = 0;
};

}  // namespace blockserve::cuda_host

#endif  // BLOCKSERVE_KERNELS_CUDA_HOST_SHARED_MEMORY_H_
