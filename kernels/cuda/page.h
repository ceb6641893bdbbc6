// Where keys and values lie in the paged cache. Included by .cu files.
#ifndef BLOCKSERVE_KERNELS_CUDA_PAGE_H_
#define BLOCKSERVE_KERNELS_CUDA_PAGE_H_

#include <cstdint>

#include "kernels/cuda/compat.h"

namespace blockserve::cuda {

// kPageLength of kernels/api/ops.h, which device code does not include;
// cuda_ops.cc holds them together.
inline constexpr int kKeysPerPage = 16;

// One head's part of one page: T [kKeysPerPage, head_dim] keys, and as many
// values. A page is [2 (key, value), num_heads, kKeysPerPage, head_dim].
template <typename T>
class PageOfHead {
 public:
  __device__ PageOfHead(void* cache, int64_t page, int num_heads, int head,
                        int head_dim)
      : keys_(static_cast<T*>(cache) +
              (page * 2 * num_heads + head) * kKeysPerPage * head_dim),
        values_(keys_ +
                static_cast<int64_t>(num_heads) * kKeysPerPage * head_dim) {}

  __device__ T* keys() const { return keys_; }
  __device__ T* values() const { return values_; }

 private:
  T* keys_;
  T* values_;
};

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_PAGE_H_
