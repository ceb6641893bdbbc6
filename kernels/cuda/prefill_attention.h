// Attention of many rows of a sequence at once over the paged cache, on tensor
// cores: prompts, whole or in chunks.
#ifndef BLOCKSERVE_KERNELS_CUDA_PREFILL_ATTENTION_H_
#define BLOCKSERVE_KERNELS_CUDA_PREFILL_ATTENTION_H_

#include <cuda_runtime_api.h>

#include "kernels/cuda/paged_attention.h"

namespace blockserve::cuda {

// Whether there is a kernel for heads of this size; `qkv` and `cache` must be
// aligned to 16 bytes.
bool HasPrefillAttention(int head_dim);

// Elements are bf16; a key's weight is rounded to bf16 before it meets the
// value. A value that is NaN may reach rows of the same sequence that do not
// see it.
cudaError_t LaunchPrefillAttention(const PagedAttentionProblem& problem,
                                   cudaStream_t stream);

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_PREFILL_ATTENTION_H_
