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
    std::fill_n(high_, kRows * kChunkLength, BFloat16());
    std::fill_n(low_, kRows * kChunkLength, BFloat16());
  }

  // Needs whole tiles.
  void Run() {
    for (int chunk = pages_.first_chunk(); chunk < pages_.end();
         chunk += kChunkLength) {
      for (int i = 0; i < kChunkPages; i += 2) {
        if (!pages_.IsVisible(chunk, i) && !pages_.IsVisible(chunk, i + 1)) {
          continue;
        }
        Scores(chunk, i);
      }
      for (int i = 0; i < kChunkPages; ++i) {
        pages_.CopyValues(chunk, i, values_ + i * kPageLength * tile_.head_dim);
      }
      ScoresToWeights(chunk);
      for (int dim = 0; dim < tile_.head_dim; dim += 32) AddValues(dim);
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

  void ScoresToWeights(int chunk) {
    for (int row = 0; row < num_rows_; ++row) {
      const Visible visible =
          Visible::InChunk(tile_.key_begin[row], tile_.key_end[row], chunk);
      sees_chunk_[row] = !visible.empty();
      BFloat16* high = high_ + row * kChunkLength;
      BFloat16* low = low_ + row * kChunkLength;
      if (visible.empty()) {
        std::fill_n(high, kChunkLength, BFloat16());
        std::fill_n(low, kChunkLength, BFloat16());
        continue;
      }
      factors_[row] = softmax_[row].AddChunk(scores_ + row * kChunkLength,
                                             visible, scale_, {high, low});
    }
  }

  // Dimensions [dim, dim + 32): sums = sums * factor + weights * values.
  void AddValues(int dim) {
    FinishStores();
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    const int64_t stride = 2 * tile_.head_dim * sizeof(BFloat16);
    constexpr int64_t kWeightStride = kChunkLength * sizeof(BFloat16);
    for (int key = 0; key < kChunkLength; key += kTileDepth) {
      const BFloat16* values = values_ + key * tile_.head_dim + 2 * dim;
      _tile_loadd(6, values, stride);
      _tile_loadd(7, values + 32, stride);
      _tile_loadd(4, high_ + key, kWeightStride);
      _tile_loadd(5, high_ + kTileHeight * kChunkLength + key, kWeightStride);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
      _tile_loadd(4, low_ + key, kWeightStride);
      _tile_loadd(5, low_ + kTileHeight * kChunkLength + key, kWeightStride);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    constexpr int64_t kStride = 32 * sizeof(float);
    _tile_stored(0, products_, kStride);
    _tile_stored(1, products_ + 16, kStride);
    _tile_stored(2, products_ + kTileHeight * 32, kStride);
    _tile_stored(3, products_ + kTileHeight * 32 + 16, kStride);
    for (int row = 0; row < num_rows_; ++row) {
      if (!sees_chunk_[row]) continue;
      const __m512 factor = _mm512_set1_ps(factors_[row]);
      for (int i = 0; i < 32; i += 16) {
        float* sums = sums_ + row * tile_.head_dim + dim + i;
        _mm512_store_ps(
            sums, _mm512_fmadd_ps(_mm512_load_ps(sums), factor,
                                  _mm512_load_ps(products_ + row * 32 + i)));
      }
    }
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
  bool sees_chunk_[kRows] = {};
  float factors_[kRows] = {};
  alignas(64) float scores_[kRows * kChunkLength];
  Scratch<kRows * kChunkLength> high_scratch_;
  BFloat16* const high_ = high_scratch_.data();
  Scratch<kRows * kChunkLength> low_scratch_;
  BFloat16* const low_ = low_scratch_.data();
  alignas(64) float products_[kRows * 32];
  Scratch<kRows * kMaxDim> queries_scratch_;
  BFloat16* const queries_ = queries_scratch_.data();
  Scratch<kChunkLength * kMaxDim> values_scratch_;
  BFloat16* const values_ = values_scratch_.data();
  alignas(64) float sums_[kRows * kMaxDim];
};

}  // namespace blockserve::cpu::amx
AMX_TARGET_END

#endif  // BLOCKSERVE_KERNELS_CPU_AMX_TILE_ATTENTION_INL_H_
