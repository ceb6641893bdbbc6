// One head of up to 32 neighbouring queries, scores and weighted values by
// tiles: a page of keys is exactly two tiles of weights at head_dim 64.
#ifndef BLOCKSERVE_KERNELS_CPU_AMX_TILE_ATTENTION_INL_H_
#define BLOCKSERVE_KERNELS_CPU_AMX_TILE_ATTENTION_INL_H_

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/api/dtype.h"
#include "kernels/cpu/amx/head_pages-inl.h"
#include "kernels/cpu/amx/softmax-inl.h"
#include "kernels/cpu/amx/target.h"
#include "kernels/cpu/amx/tiles.h"
#include "kernels/cpu/attention_tile.h"

AMX_TARGET_BEGIN
namespace blockserve::cpu::amx {

class TileAttention {
 public:
  static constexpr int kRows = 2 * kTileHeight;
  static constexpr int kMaxDim = 256;

  // `scale`: with log2 e in it.
  TileAttention(const AttentionTile& tile, int num_rows, float scale)
      : tile_(tile),
        num_rows_(num_rows),
        scale_(scale),
        pages_(tile,
               *std::min_element(tile.key_begin, tile.key_begin + num_rows),
               *std::max_element(tile.key_end, tile.key_end + num_rows)) {
    // Whole tiles of queries; rows that do not exist are zero.
    const int64_t head_dim = tile.head_dim;
    for (int row = 0; row < num_rows; ++row) {
      std::memcpy(
          queries_ + row * head_dim,
          static_cast<const BFloat16*>(tile.queries) + row * tile.query_stride,
          head_dim * sizeof(BFloat16));
    }
    std::fill_n(queries_ + num_rows * head_dim, (kRows - num_rows) * head_dim,
                BFloat16());
    std::fill_n(sums_, kRows * head_dim, 0.0f);
    // Weights of rows that do not exist.
    std::fill_n(weights_ + num_rows * kChunkLength,
                (kRows - num_rows) * kChunkLength, BFloat16());
  }

  // Needs whole tiles.
  void Run() {
    for (int chunk = pages_.first_chunk(); chunk < pages_.end();
         chunk += kChunkLength) {
      const int first = std::max(pages_.begin() - chunk, 0) / kTileDepth;
      const int last =
          std::min(pages_.end() - 1 - chunk, kChunkLength - 1) / kTileDepth;
      for (int i = first; i <= last; ++i) Scores(chunk, 2 * i);
      ScoresToWeights(chunk);
      for (int i = first; i <= last; ++i) {
        pages_.CopyValues(chunk, 2 * i, values_);
        pages_.CopyValues(chunk, 2 * i + 1,
                          values_ + kPageLength * tile_.head_dim);
        for (int dim = 0; dim < tile_.head_dim; dim += 32)
          AddValues(2 * i, dim);
      }
    }
    for (int row = 0; row < num_rows_; ++row) StoreOutput(row);
  }

 private:
  // Of two pages, of which one at least is visible.
  void Scores(int chunk, int first) {
    const BFloat16* left =
        pages_.page(chunk, pages_.IsVisible(chunk, first) ? first : first + 1);
    const BFloat16* right = pages_.page(
        chunk, pages_.IsVisible(chunk, first + 1) ? first + 1 : first);
    const int64_t stride = tile_.head_dim * sizeof(BFloat16);
    const BFloat16* top = queries_;
    const BFloat16* bottom = queries_ + kTileHeight * tile_.head_dim;
    FinishStores();
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int dim = 0; dim < tile_.head_dim; dim += kTileDepth) {
      _tile_loadd(4, top + dim, stride);
      _tile_loadd(5, bottom + dim, stride);
      _tile_loadd(6, left + dim * kPageLength, 64);
      _tile_loadd(7, right + dim * kPageLength, 64);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    float* scores = scores_ + first * kPageLength;
    constexpr int64_t kStride = kChunkLength * sizeof(float);
    _tile_stored(0, scores, kStride);
    _tile_stored(1, scores + kPageLength, kStride);
    _tile_stored(2, scores + kTileHeight * kChunkLength, kStride);
    _tile_stored(3, scores + kTileHeight * kChunkLength + kPageLength, kStride);
  }

  // And scales what earlier chunks have summed up.
  void ScoresToWeights(int chunk) {
    for (int row = 0; row < num_rows_; ++row) {
      const Visible visible =
          Visible::InChunk(tile_.key_begin[row], tile_.key_end[row], chunk);
      BFloat16* weights = weights_ + row * kChunkLength;
      if (visible.empty()) {
        std::fill_n(weights, kChunkLength, BFloat16());
        continue;
      }
      const float factor = softmax_[row].AddChunk(scores_ + row * kChunkLength,
                                                  visible, scale_, weights);
      if (factor != 1.0f) ScaleSums(row, factor);
    }
  }

  void ScaleSums(int row, float factor) {
    float* sums = sums_ + row * tile_.head_dim;
    for (int dim = 0; dim < tile_.head_dim; dim += 16) {
      _mm512_store_ps(sums + dim, _mm512_mul_ps(_mm512_load_ps(sums + dim),
                                                _mm512_set1_ps(factor)));
    }
  }

  // Dimensions [dim, dim + 32): sums += weights * values of two pages, which
  // are joined because a tile is as deep as two.
  void AddValues(int first, int dim) {
    FinishStores();
    float* top = sums_ + dim;
    float* bottom = top + kTileHeight * tile_.head_dim;
    const int64_t sums_stride = tile_.head_dim * sizeof(float);
    _tile_loadd(0, top, sums_stride);
    _tile_loadd(1, top + 16, sums_stride);
    _tile_loadd(2, bottom, sums_stride);
    _tile_loadd(3, bottom + 16, sums_stride);
    const BFloat16* weights = weights_ + first * kPageLength;
    constexpr int64_t kWeightStride = kChunkLength * sizeof(BFloat16);
    const int64_t stride = 2 * tile_.head_dim * sizeof(BFloat16);
    _tile_loadd(6, values_ + 2 * dim, stride);
    _tile_loadd(7, values_ + 2 * dim + 32, stride);
    _tile_loadd(4, weights, kWeightStride);
    _tile_loadd(5, weights + kTileHeight * kChunkLength, kWeightStride);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    _tile_stored(0, top, sums_stride);
    _tile_stored(1, top + 16, sums_stride);
    _tile_stored(2, bottom, sums_stride);
    _tile_stored(3, bottom + 16, sums_stride);
  }

  void StoreOutput(int row) {
    auto* output =
        static_cast<BFloat16*>(tile_.outputs) + row * tile_.output_stride;
    const float* sums = sums_ + row * tile_.head_dim;
    const __m512 factor = _mm512_set1_ps(1.0f / softmax_[row].total());
    for (int dim = 0; dim < tile_.head_dim; dim += 16) {
      const __m512 x = _mm512_mul_ps(_mm512_load_ps(sums + dim), factor);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(output + dim),
                          (__m256i)_mm512_cvtneps_pbh(x));
    }
  }

  const AttentionTile& tile_;
  const int num_rows_;
  const float scale_;
  const HeadPages pages_;
  RowSoftmax softmax_[kRows];
  alignas(64) float scores_[kRows * kChunkLength];
  Scratch<kRows * kChunkLength> weights_scratch_;
  BFloat16* const weights_ = weights_scratch_.data();
  Scratch<kRows * kMaxDim> queries_scratch_;
  BFloat16* const queries_ = queries_scratch_.data();
  Scratch<2 * kPageLength * kMaxDim> values_scratch_;
  BFloat16* const values_ = values_scratch_.data();
  alignas(64) float sums_[kRows * kMaxDim];
};

}  // namespace blockserve::cpu::amx
AMX_TARGET_END

#endif  // BLOCKSERVE_KERNELS_CPU_AMX_TILE_ATTENTION_INL_H_
