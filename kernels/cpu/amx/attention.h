// Paged attention in bf16 on CPUs with AMX: of one query by vectors (decoding:
// as fast as keys and values come from memory), or one head of up to 32
// neighbouring queries by tiles (prefill).
//
// Both give a row the same bits, so that a prompt may be cut into chunks as the
// batch demands. Keys are taken in chunks of 64, which begin at multiples of 64
// whatever a row sees; scores and weighted values are summed as the tile
// instruction does (panel_product.h), 32 dimensions or positions at a time.
// Weights are rounded to bf16.
#ifndef BLOCKSERVE_KERNELS_CPU_AMX_ATTENTION_H_
#define BLOCKSERVE_KERNELS_CPU_AMX_ATTENTION_H_

#include "kernels/cpu/attention_tile.h"

namespace blockserve::cpu::amx {

inline constexpr int kMaxAttentionRows = 32;

// True if AttendRows computes heads of this size on this CPU.
bool CanAttend(int head_dim);

// Computes the first `num_rows` <= kMaxAttentionRows rows of `tile`. Each row
// sees a key; all rows together see one range of keys without a gap.
void AttendRows(const AttentionTile& tile, int num_rows);

// Computes the first row of `tile` for its head and those after it, `num_heads`
// in all; their outputs lie side by side.
void AttendHeads(const AttentionTile& tile, int num_heads);

}  // namespace blockserve::cpu::amx

#endif  // BLOCKSERVE_KERNELS_CPU_AMX_ATTENTION_H_
