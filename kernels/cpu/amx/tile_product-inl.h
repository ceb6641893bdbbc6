// Products of many rows: blocks of 32 rows x 32 columns in four tiles of sums.
//
// The order of loops is panel, rows, depth: the part's activations (bounded by
// panel_product.cc) stay in the second-level cache and each panel is read from
// memory once. Two things run in the shadow of the tile instructions:
// - the next panel is prefetched into the second-level cache, some lines a
//   step: +13-25 % at 64-256 rows where weights come from memory;
// - the epilogue of the block before, some rows a step: an exact GELU costs
//   next to nothing there, and a third of the product as a pass of its own.
#ifndef BLOCKSERVE_KERNELS_CPU_AMX_TILE_PRODUCT_INL_H_
#define BLOCKSERVE_KERNELS_CPU_AMX_TILE_PRODUCT_INL_H_

#include <algorithm>
#include <cstdint>
#include <limits>

#include "kernels/api/dtype.h"
#include "kernels/cpu/amx/epilogue-inl.h"
#include "kernels/cpu/amx/panel_matrix.h"
#include "kernels/cpu/amx/panel_product.h"
#include "kernels/cpu/amx/target.h"
#include "kernels/cpu/amx/tiles.h"

AMX_TARGET_BEGIN
namespace blockserve::cpu::amx {

// The inputs [begin, end) that a pass sums over.
struct DepthRange {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t length() const { return end - begin; }
};

template <typename Epilogue>
class TileProduct {
 public:
  static constexpr int kBlockRows = 2 * kTileHeight;

  TileProduct(const PanelProduct& product, const ProductPart& part,
              DepthRange depth, const Epilogue& epilogue)
      : weight_(*product.weight),
        part_(part),
        depth_(depth),
        epilogue_(epilogue),
        input_(product.input + depth.begin),
        stride_(product.weight->in_dim()) {
    const int64_t num_steps = depth.length() / kTileDepth;
    const int64_t num_blocks =
        (part.row_end - part.row_begin + kBlockRows - 1) / kBlockRows;
    // A step's weights are as many cache lines as it has inputs.
    lines_a_step_ = (kTileDepth + num_blocks - 1) / num_blocks;
    rows_a_step_ = (kBlockRows + num_steps - 1) / num_steps;
  }

  // Needs tiles of height TileHeight(part).
  void Run() {
    for (int64_t panel = part_.panel_begin; panel < part_.panel_end; ++panel) {
      const bool is_last = panel + 1 == part_.panel_end;
      AimPrefetch(is_last ? panel : panel + 1, is_last);
      for (int64_t row = part_.row_begin; row < part_.row_end;
           row += kBlockRows) {
        if (part_.row_end - row > kTileHeight) {
          MultiplyTwoTiles(panel, row);
        } else {
          MultiplyOneTile(panel, row);
        }
      }
    }
    FinishPending();
  }

  static int TileHeight(const ProductPart& part) {
    return static_cast<int>(
        std::min<int64_t>(part.row_end - part.row_begin, kTileHeight));
  }

 private:
  // Sums in memory that wait for their epilogue.
  struct Pending {
    const float* sums = nullptr;
    int64_t panel = 0;
    int64_t row = 0;  // the next one
    int64_t row_end = 0;
    int64_t top_begin = 0;     // rows in sums[0, 16)
    int64_t bottom_begin = 0;  // rows in sums[16, 32)
  };

  // A tile is always whole. At the end of the rows it begins earlier, so that
  // it reads nothing beyond them, and computes some rows again.
  int64_t TileBegin(int64_t row) const {
    return std::max(std::min(row, part_.row_end - kTileHeight),
                    part_.row_begin);
  }

  void MultiplyTwoTiles(int64_t panel, int64_t row) {
    const int64_t bottom_begin = TileBegin(row + kTileHeight);
    const BFloat16* top = input_ + row * stride_;
    const BFloat16* bottom = input_ + bottom_begin * stride_;
    const BFloat16* weights = weight_.panel(panel, depth_.begin);
    const int64_t stride_bytes = stride_ * sizeof(BFloat16);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t i = 0; i < depth_.length(); i += kTileDepth) {
      _tile_loadd(6, weights, 64);
      _tile_loadd(4, top + i, stride_bytes);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(7, weights + kTileElements, 64);
      _tile_dpbf16ps(1, 4, 7);
      Prefetch();
      _tile_loadd(5, bottom + i, stride_bytes);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
      FinishRows(rows_a_step_);
      weights += kStepElements;
    }
    FinishPending();
    float* sums = NextSums();
    _tile_stored(0, sums, kRowBytes);
    _tile_stored(1, sums + kTileColumns, kRowBytes);
    _tile_stored(2, sums + kTileHeight * kPanelColumns, kRowBytes);
    _tile_stored(3, sums + kTileHeight * kPanelColumns + kTileColumns,
                 kRowBytes);
    pending_ = {sums, panel,
                row,  std::min(row + kBlockRows, part_.row_end),
                row,  bottom_begin};
  }

  // The last rows, or the only ones.
  void MultiplyOneTile(int64_t panel, int64_t row) {
    const int64_t begin = TileBegin(row);
    const BFloat16* top = input_ + begin * stride_;
    const BFloat16* weights = weight_.panel(panel, depth_.begin);
    const int64_t stride_bytes = stride_ * sizeof(BFloat16);
    _tile_zero(0);
    _tile_zero(1);
    for (int64_t i = 0; i < depth_.length(); i += kTileDepth) {
      _tile_loadd(6, weights, 64);
      _tile_loadd(4, top + i, stride_bytes);
      _tile_dpbf16ps(0, 4, 6);
      Prefetch();
      _tile_loadd(7, weights + kTileElements, 64);
      _tile_dpbf16ps(1, 4, 7);
      FinishRows(rows_a_step_);
      weights += kStepElements;
    }
    FinishPending();
    float* sums = NextSums();
    _tile_stored(0, sums, kRowBytes);
    _tile_stored(1, sums + kTileColumns, kRowBytes);
    pending_ = {sums,          panel, row,
                part_.row_end, begin, std::numeric_limits<int64_t>::max()};
  }

  // The epilogue of up to `count` rows of the block before.
  void FinishRows(int64_t count) {
    const int64_t end = std::min(pending_.row + count, pending_.row_end);
    for (; pending_.row < end; ++pending_.row) {
      const int64_t row = pending_.row;
      const bool in_top = row < pending_.top_begin + kTileHeight;
      const int64_t i = in_top ? row - pending_.top_begin
                               : kTileHeight + row - pending_.bottom_begin;
      const float* sums = pending_.sums + i * kPanelColumns;
      epilogue_.Apply(
          {_mm512_load_ps(sums), _mm512_load_ps(sums + kTileColumns)}, row,
          pending_.panel);
    }
  }
  void FinishPending() { FinishRows(kBlockRows); }

  float* NextSums() {
    turn_ = 1 - turn_;
    return sums_[turn_];
  }

  void AimPrefetch(int64_t panel, bool is_last) {
    next_line_ = reinterpret_cast<const char*>(
        weight_.panel(panel, is_last ? depth_.end : depth_.begin));
    lines_end_ =
        reinterpret_cast<const char*>(weight_.panel(panel, depth_.end));
  }
  void Prefetch() {
    if (next_line_ >= lines_end_) return;
    for (int64_t i = 0; i < lines_a_step_; ++i, next_line_ += 64) {
      _mm_prefetch(next_line_, _MM_HINT_T1);
    }
  }

  static constexpr int64_t kRowBytes = kPanelColumns * sizeof(float);

  const PanelMatrix& weight_;
  const ProductPart part_;
  const DepthRange depth_;
  const Epilogue& epilogue_;
  const BFloat16* const input_;
  const int64_t stride_;
  int64_t lines_a_step_;
  int64_t rows_a_step_;
  const char* next_line_ = nullptr;
  const char* lines_end_ = nullptr;
  Pending pending_;
  int turn_ = 0;
  alignas(64) float sums_[2][kBlockRows * kPanelColumns];
};

}  // namespace blockserve::cpu::amx
AMX_TARGET_END

#endif  // BLOCKSERVE_KERNELS_CPU_AMX_TILE_PRODUCT_INL_H_
