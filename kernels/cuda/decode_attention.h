// Attention of rows over the paged cache, one by one: what decoding asks for,
// where each sequence has one row.
#ifndef BLOCKSERVE_KERNELS_CUDA_DECODE_ATTENTION_H_
#define BLOCKSERVE_KERNELS_CUDA_DECODE_ATTENTION_H_

#include <cuda_runtime_api.h>

#include "kernels/api/dtype.h"
#include "kernels/cuda/paged_attention.h"

namespace blockserve::cuda {

// The keys of a row are dealt to `num_splits` CTAs; the last one of them to end
// puts together what all have summed.
struct DecodeAttentionProblem {
  PagedAttentionProblem attention;
  int num_splits = 1;
  // With more than one split: float [num_rows, num_heads, num_splits,
  // head_dim + 2], and int [num_rows, num_heads], zero before and after.
  float* parts = nullptr;
  int* tickets = nullptr;

  template <typename Visit>
  void VisitPointers(const Visit& visit) const {
    attention.VisitPointers(visit);
    visit(parts), visit(tickets);
  }
};

// Whether there is a kernel for heads of this size. It takes 16 bytes at once:
// `qkv` and `cache` must be aligned to that.
bool HasDecodeAttention(int head_dim);

// The most CTAs that have something to do for a row and head.
int MaxDecodeSplits(int max_pages);

cudaError_t LaunchDecodeAttention(const DecodeAttentionProblem& problem,
                                  DType dtype, cudaStream_t stream);

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_DECODE_ATTENTION_H_
