// Attention over a block's few positions, and over a row's memory vectors.
#ifndef BLOCKSERVE_KERNELS_CUDA_LOCAL_ATTENTION_H_
#define BLOCKSERVE_KERNELS_CUDA_LOCAL_ATTENTION_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/api/dtype.h"

namespace blockserve::cuda {

// As LocalAttentionArgs; the cache is T [num_rows, 2 (key, value), num_heads,
// max_length, head_dim].
struct LocalAttentionProblem {
  void* qkv = nullptr;  // T [num_rows * num_queries, num_heads, 3, head_dim]
  const float* rotary = nullptr;  // [num_positions, rotary_dim], or null
  const int32_t* positions = nullptr;
  const uint8_t* key_mask = nullptr;  // [num_rows, max_length], or null
  const float* bias = nullptr;  // [num_heads, max_length, max_length], or null
  void* cache = nullptr;        // or null
  void* output = nullptr;  // T [num_rows * num_queries, num_heads, head_dim]
  int64_t num_rows = 0;
  int num_queries = 0;
  int past_length = 0;
  int max_length = 0;
  int num_heads = 0;
  int head_dim = 0;
  int rotary_dim = 0;
  int window = 0;  // 0: none
  bool is_causal = true;
  float scale = 1.0f;

  template <typename Visit>
  void VisitPointers(const Visit& visit) const {
    visit(qkv), visit(rotary), visit(positions), visit(key_mask), visit(bias);
    visit(cache), visit(output);
  }
};

// As CrossAttentionArgs.
struct CrossAttentionProblem {
  const void* query = nullptr;   // T [num_positions, num_heads, head_dim]
  const void* memory = nullptr;  // T [rows, memory_length, num_heads, 2,
                                 //    head_dim]
  void* output = nullptr;        // as `query`
  int64_t num_positions = 0;
  int num_queries = 1;  // positions of a row
  int memory_length = 0;
  int num_heads = 0;
  int head_dim = 0;
  float scale = 1.0f;

  template <typename Visit>
  void VisitPointers(const Visit& visit) const {
    visit(query), visit(memory), visit(output);
  }
};

// cudaErrorInvalidValue for a head_dim above 512.
cudaError_t LaunchLocalAttention(const LocalAttentionProblem& problem,
                                 DType dtype, cudaStream_t stream);
cudaError_t LaunchCrossAttention(const CrossAttentionProblem& problem,
                                 DType dtype, cudaStream_t stream);

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_LOCAL_ATTENTION_H_
