// The paged KV cache of the reference backend and attention over it.
//
// A page is T [2, num_heads, kPageLength, head_dim]: keys, then values.
#ifndef BLOCKSERVE_KERNELS_REFERENCE_PAGED_ATTENTION_H_
#define BLOCKSERVE_KERNELS_REFERENCE_PAGED_ATTENTION_H_

#include "kernels/api/attention_args.h"

namespace blockserve::reference {

template <typename T>
void RotaryStoreKv(const RotaryStoreKvArgs& args);

template <typename T>
void PagedAttention(const PagedAttentionArgs& args);

}  // namespace blockserve::reference

#endif  // BLOCKSERVE_KERNELS_REFERENCE_PAGED_ATTENTION_H_
