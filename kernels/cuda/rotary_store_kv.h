// Rotates queries and keys by their positions and appends keys and values to
// the paged cache.
#ifndef BLOCKSERVE_KERNELS_CUDA_ROTARY_STORE_KV_H_
#define BLOCKSERVE_KERNELS_CUDA_ROTARY_STORE_KV_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/api/dtype.h"

namespace blockserve::cuda {

// As RotaryStoreKvArgs; a page is T [2 (key, value), num_heads, kPageLength,
// head_dim].
struct RotaryStoreKvProblem {
  void* qkv = nullptr;            // T [num_rows, num_heads, 3, head_dim]
  const float* rotary = nullptr;  // [num_positions, rotary_dim], or null
  const int32_t* positions = nullptr;
  const int32_t* slots = nullptr;
  void* cache = nullptr;
  int64_t num_rows = 0;
  int num_heads = 0;
  int head_dim = 0;
  int rotary_dim = 0;

  template <typename Visit>
  void VisitPointers(const Visit& visit) const {
    visit(qkv), visit(rotary), visit(positions), visit(slots), visit(cache);
  }
};

cudaError_t LaunchRotaryStoreKv(const RotaryStoreKvProblem& problem,
                                DType dtype, cudaStream_t stream);

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_ROTARY_STORE_KV_H_
