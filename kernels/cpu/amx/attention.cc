#include "kernels/cpu/amx/attention.h"

#include <algorithm>

#include "kernels/api/ops.h"
#include "kernels/cpu/amx/row_attention-inl.h"
#include "kernels/cpu/amx/target.h"
#include "kernels/cpu/amx/tile_attention-inl.h"
#include "kernels/cpu/amx/tiles.h"

AMX_TARGET_BEGIN
namespace blockserve::cpu::amx {
namespace {

// Fewer rows than this are as fast one by one.
constexpr int kMinTileRows = 4;

constexpr float kLog2E = 1.44269504f;

}  // namespace

bool CanAttend(int head_dim) {
  return HasTiles() && head_dim % kTileDepth == 0 &&
         head_dim <= RowAttention::kMaxDim;
}

void AttendRows(const AttentionTile& tile, int num_rows) {
  const ScopedFlushSubnormals flush;
  const float scale = tile.scale * kLog2E;
  if (num_rows >= kMinTileRows) {
    const ScopedTiles tiles(TileConfig::WithHeight(kTileHeight));
    TileAttention(tile, num_rows, scale).Run();
    return;
  }
  AttentionTile row = tile;
  for (int i = 0; i < num_rows; ++i) {
    row.queries =
        static_cast<const BFloat16*>(tile.queries) + i * tile.query_stride;
    row.outputs = static_cast<BFloat16*>(tile.outputs) + i * tile.output_stride;
    row.key_begin = tile.key_begin + i;
    row.key_end = tile.key_end + i;
    RowAttention(row, /*num_heads=*/1, scale).Run();
  }
}

void AttendHeads(const AttentionTile& tile, int num_heads) {
  const ScopedFlushSubnormals flush;
  AttentionTile heads = tile;
  for (int begin = 0; begin < num_heads; begin += RowAttention::kMaxHeads) {
    const int64_t i = begin;
    heads.queries =
        static_cast<const BFloat16*>(tile.queries) + i * tile.query_head_stride;
    heads.outputs = static_cast<BFloat16*>(tile.outputs) + i * tile.head_dim;
    heads.head_pages = static_cast<const BFloat16*>(tile.head_pages) +
                       i * 2 * kPageLength * tile.head_dim;
    RowAttention(heads, std::min(num_heads - begin, RowAttention::kMaxHeads),
                 tile.scale * kLog2E)
        .Run();
  }
}

}  // namespace blockserve::cpu::amx
AMX_TARGET_END
