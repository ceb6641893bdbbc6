// The kernel of paged attention: one head of one query, or of a few
// neighbouring ones.
#ifndef BLOCKSERVE_KERNELS_CPU_ATTENTION_TILE_H_
#define BLOCKSERVE_KERNELS_CPU_ATTENTION_TILE_H_

#include <cstdint>

#include "kernels/api/dtype.h"

namespace blockserve::cpu {

// Neighbouring queries of a sequence that are computed together, so that keys
// and values are loaded and widened once for all.
inline constexpr int kTileRows = 4;

// One head of one or kTileRows neighbouring rows of a sequence.
struct AttentionTile {
  const void* queries = nullptr;  // T [head_dim], `query_stride` elements apart
  int64_t query_stride = 0;
  int64_t query_head_stride = 0;  // to the next head's query, elements
  void* outputs = nullptr;  // T [head_dim], `output_stride` elements apart
  int64_t output_stride = 0;
  const int32_t* key_begin = nullptr;  // of each row
  const int32_t* key_end = nullptr;
  const int32_t* pages = nullptr;    // of the sequence
  const void* head_pages = nullptr;  // the head's head page in page 0
  int64_t page_size = 0;             // elements
  int head_dim = 0;
  float scale = 1.0f;
};

// Computes the first `num_rows` (1 or kTileRows) rows of `tile`. Each row sees
// a key; kTileRows rows together see one range of keys without a gap.
// T: float or BFloat16.
template <typename T>
void AttendTile(const AttentionTile& tile, int num_rows);
template <>
void AttendTile<float>(const AttentionTile& tile, int num_rows);
template <>
void AttendTile<BFloat16>(const AttentionTile& tile, int num_rows);

}  // namespace blockserve::cpu

#endif  // BLOCKSERVE_KERNELS_CPU_ATTENTION_TILE_H_
