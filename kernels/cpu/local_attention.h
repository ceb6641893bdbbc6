// Attention over a handful of positions: the token decoder's, RoBERTa's, and
// T5's cross attention.
#ifndef BLOCKSERVE_KERNELS_CPU_LOCAL_ATTENTION_H_
#define BLOCKSERVE_KERNELS_CPU_LOCAL_ATTENTION_H_

#include <cstddef>
#include <cstdint>

#include "kernels/api/attention_args.h"

namespace blockserve::cpu {

// Bytes of a local cache: T [rows, num_heads, 2, max_length, head_dim].
template <typename T>
size_t LocalKvBytes(int64_t rows, int num_heads, int head_dim, int max_length) {
  return sizeof(T) * rows * num_heads * 2 * max_length * head_dim;
}

// T: float or BFloat16. Scores, softmax and sums are fp32.
template <typename T>
void LocalAttention(const LocalAttentionArgs& args, int num_threads);
template <typename T>
void CrossAttention(const CrossAttentionArgs& args, int num_threads);

}  // namespace blockserve::cpu

#endif  // BLOCKSERVE_KERNELS_CPU_LOCAL_ATTENTION_H_
