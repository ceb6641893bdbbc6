// Products of one or two rows, which are as fast as weights come from memory.
//
// Tiles would compute 16 rows and, more to the point, read one panel after the
// other. Here a thread reads panels from places far apart, since each of its
// streams wakes another hardware prefetcher: a step of one row reads 44 GB/s by
// 8 streams, 31 GB/s by one or two.
//
// The sums are those of the tile instruction, bit by bit (panel_product.h): the
// CPU's own pair product (VDPBF16PS) adds in another order and cannot be used.
// Widening bf16 is cheap enough not to matter.
#ifndef BLOCKSERVE_KERNELS_CPU_AMX_ROW_PRODUCT_INL_H_
#define BLOCKSERVE_KERNELS_CPU_AMX_ROW_PRODUCT_INL_H_

#include <cstdint>

#include "kernels/api/dtype.h"
#include "kernels/cpu/amx/epilogue-inl.h"
#include "kernels/cpu/amx/pair_vector-inl.h"
#include "kernels/cpu/amx/panel_matrix.h"
#include "kernels/cpu/amx/panel_product.h"
#include "kernels/cpu/amx/target.h"
#include "kernels/cpu/amx/tile_product-inl.h"

AMX_TARGET_BEGIN
namespace blockserve::cpu::amx {

template <typename Epilogue, int kRows>
class RowProduct {
 public:
  RowProduct(const PanelProduct& product, const ProductPart& part,
             DepthRange depth, const Epilogue& epilogue)
      : weight_(*product.weight),
        part_(part),
        depth_(depth),
        epilogue_(epilogue) {
    for (int row = 0; row < kRows; ++row) {
      inputs_[row] = product.input + (part.row_begin + row) * weight_.in_dim() +
                     depth.begin;
    }
  }

  void Run() {
    // As many sums as the registers hold.
    constexpr int kStreams = 4 / kRows;
    const int64_t num_panels = part_.panel_end - part_.panel_begin;
    const int64_t spacing = num_panels / kStreams;
    for (int64_t i = 0; i < spacing; ++i) {
      Multiply<kStreams>(part_.panel_begin + i, spacing);
    }
    for (int64_t i = kStreams * spacing; i < num_panels; ++i) {
      Multiply<1>(part_.panel_begin + i, 0);
    }
  }

 private:
  // The panels `panel`, `panel` + spacing, ...
  template <int kPanels>
  void Multiply(int64_t panel, int64_t spacing) const {
    constexpr int kTiles = 2 * kPanels;
    const BFloat16* weights = weight_.panel(panel, depth_.begin);
    const int64_t distance = spacing * weight_.panel_elements();
    __m512 totals[kRows][kTiles];
    for (auto& row : totals) {
      for (__m512& total : row) total = _mm512_setzero_ps();
    }
    for (int64_t i = 0; i < depth_.length(); i += kTileDepth) {
      AddStep<kPanels>(weights, distance, i, totals);
      weights += kStepElements;
    }
    for (int p = 0; p < kPanels; ++p) {
      for (int row = 0; row < kRows; ++row) {
        epilogue_.Apply({totals[row][2 * p], totals[row][2 * p + 1]},
                        part_.row_begin + row, panel + p * spacing);
      }
    }
  }

  template <int kPanels>
  void AddStep(const BFloat16* weights, int64_t distance, int64_t input,
               __m512 (&totals)[kRows][2 * kPanels]) const {
    // Far enough to cover the latency of memory, near enough to stay in the
    // first-level cache.
    constexpr int kPrefetchBytes = 2048;
    PairSum sums[kRows][2 * kPanels];
    for (int pair = 0; pair < kTileHeight; ++pair) {
      PairVector x[kRows];
      for (int row = 0; row < kRows; ++row) {
        x[row] = PairVector::Broadcast(inputs_[row] + input + 2 * pair);
      }
#pragma GCC unroll 8
      for (int tile = 0; tile < 2 * kPanels; ++tile) {
        const BFloat16* from = weights + tile / 2 * distance +
                               tile % 2 * kTileElements +
                               pair * 2 * kTileColumns;
        _mm_prefetch(reinterpret_cast<const char*>(from) + kPrefetchBytes,
                     _MM_HINT_T0);
        const PairVector w = PairVector::Load(from);
        for (int row = 0; row < kRows; ++row) sums[row][tile].Add(x[row], w);
      }
    }
    for (int row = 0; row < kRows; ++row) {
      for (int tile = 0; tile < 2 * kPanels; ++tile) {
        totals[row][tile] =
            _mm512_add_ps(totals[row][tile], sums[row][tile].Fold());
      }
    }
  }

  const PanelMatrix& weight_;
  const ProductPart part_;
  const DepthRange depth_;
  const Epilogue& epilogue_;
  const BFloat16* inputs_[kRows];
};

}  // namespace blockserve::cpu::amx
AMX_TARGET_END

#endif  // BLOCKSERVE_KERNELS_CPU_AMX_ROW_PRODUCT_INL_H_
