// Attention of block decoder queries over the paged KV cache.
#ifndef BLOCKSERVE_KERNELS_CPU_PAGED_ATTENTION_H_
#define BLOCKSERVE_KERNELS_CPU_PAGED_ATTENTION_H_

#include "kernels/api/attention_args.h"

namespace blockserve::cpu {

// T: float or BFloat16. Scores, softmax and sums are fp32. A result depends on
// the row's own query and keys alone, bit by bit: neither on the other rows of
// the batch nor on the number of threads.
template <typename T>
void PagedAttention(const PagedAttentionArgs& args, int num_threads);

}  // namespace blockserve::cpu

#endif  // BLOCKSERVE_KERNELS_CPU_PAGED_ATTENTION_H_
