// Attention inside one block, and of a block over its memory vectors.
//
// A local cache is T [rows, 2, num_heads, max_length, head_dim]: keys, then
// values of each row.
#ifndef BLOCKSERVE_KERNELS_REFERENCE_LOCAL_ATTENTION_H_
#define BLOCKSERVE_KERNELS_REFERENCE_LOCAL_ATTENTION_H_

#include "kernels/api/attention_args.h"

namespace blockserve::reference {

template <typename T>
void LocalAttention(const LocalAttentionArgs& args);

template <typename T>
void CrossAttention(const CrossAttentionArgs& args);

}  // namespace blockserve::reference

#endif  // BLOCKSERVE_KERNELS_REFERENCE_LOCAL_ATTENTION_H_
