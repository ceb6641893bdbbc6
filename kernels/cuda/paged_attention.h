// Attention over the paged cache.
#ifndef BLOCKSERVE_KERNELS_CUDA_PAGED_ATTENTION_H_
#define BLOCKSERVE_KERNELS_CUDA_PAGED_ATTENTION_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/api/dtype.h"

namespace blockserve::cuda {

// As PagedAttentionArgs.
struct PagedAttentionProblem {
  const void* qkv = nullptr;  // T [num_rows, num_heads, 3, head_dim]
  const int32_t* query_offsets = nullptr;
  const int32_t* page_table = nullptr;
  const int32_t* key_begin = nullptr;
  const int32_t* key_end = nullptr;
  void* cache = nullptr;
  void* output = nullptr;  // T [num_rows, num_heads, head_dim]
  int num_rows = 0;
  int num_sequences = 0;
  int max_pages = 0;
  int num_heads = 0;
  int head_dim = 0;
  float scale = 1.0f;

  template <typename Visit>
  void VisitPointers(const Visit& visit) const {
    visit(qkv), visit(query_offsets), visit(page_table), visit(key_begin);
    visit(key_end), visit(cache), visit(output);
  }
};

// cudaErrorInvalidValue for a head_dim above 512.
cudaError_t LaunchPagedAttention(const PagedAttentionProblem& problem,
                                 DType dtype, cudaStream_t stream);

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_PAGED_ATTENTION_H_
