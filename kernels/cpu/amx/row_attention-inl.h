// One head of one query. Keys and values are read once, so that memory is the
// limit: the pages of the next chunk are prefetched, a line at a time, while
// this one is multiplied (more, or farther ahead, takes the fill buffers that
// the hardware's prefetchers need, and is slower).
#ifndef BLOCKSERVE_KERNELS_CPU_AMX_ROW_ATTENTION_INL_H_
#define BLOCKSERVE_KERNELS_CPU_AMX_ROW_ATTENTION_INL_H_

#include <algorithm>
#include <cstdint>

#include "kernels/api/dtype.h"
#include "kernels/cpu/amx/head_pages-inl.h"
#include "kernels/cpu/amx/pair_vector-inl.h"
#include "kernels/cpu/amx/softmax-inl.h"
#include "kernels/cpu/amx/target.h"
#include "kernels/cpu/amx/tiles.h"
#include "kernels/cpu/attention_tile.h"

AMX_TARGET_BEGIN
namespace blockserve::cpu::amx {

class RowAttention {
 public:
  static constexpr int kMaxDim = 256;

  // `scale`: with log2 e in it.
  RowAttention(const AttentionTile& tile, float scale)
      : tile_(tile),
        scale_(scale),
        pages_(tile, tile.key_begin[0], tile.key_end[0]) {
    std::fill_n(sums_, tile.head_dim, 0.0f);
  }

  void Run() {
    for (int chunk = pages_.first_chunk(); chunk < pages_.end();
         chunk += kChunkLength) {
      FindPages(chunk);
      if (first_ == 0 && last_ == kChunkPages - 1) {
        Scores<kChunkPages>(0);
      } else {
        for (int i = first_; i <= last_; ++i) Scores<1>(i);
      }
      const float factor = softmax_.AddChunk(
          scores_, Visible::InChunk(pages_.begin(), pages_.end(), chunk),
          scale_, weights_.data());
      AddValues(chunk, factor);
    }
    StoreOutput();
  }

 private:
  // The chunk's visible pages, and what to prefetch meanwhile: the next
  // chunk's pages, or at the end these again, which costs little.
  void FindPages(int chunk) {
    first_ = std::max(pages_.begin() - chunk, 0) / kPageLength;
    last_ = std::min(pages_.end() - 1 - chunk, kChunkLength - 1) / kPageLength;
    for (int i = first_; i <= last_; ++i) chunk_[i] = pages_.page(chunk, i);
    const int next = chunk + kChunkLength;
    for (int i = 0; i < kChunkPages; ++i) {
      next_[i] =
          pages_.IsVisible(next, i) ? pages_.page(next, i) : chunk_[last_];
    }
  }

  // Of kPages pages from `first` on.
  template <int kPages>
  void Scores(int first) {
    __m512 totals[kPages];
    for (__m512& total : totals) total = _mm512_setzero_ps();
    const auto* query = static_cast<const BFloat16*>(tile_.queries);
    for (int dim = 0; dim < tile_.head_dim; dim += kTileDepth) {
      PairSum sums[kPages];
      for (int d = dim; d < dim + kTileDepth; d += 2) {
        const PairVector q = PairVector::Broadcast(query + d);
        for (int i = 0; i < kPages; ++i) {
          if (kPages == kChunkPages) Prefetch(next_[i] + d * kPageLength);
          sums[i].Add(q, PairVector::Load(chunk_[first + i] + d * kPageLength));
        }
      }
      for (int i = 0; i < kPages; ++i) {
        totals[i] = _mm512_add_ps(totals[i], sums[i].Fold());
      }
    }
    for (int i = 0; i < kPages; ++i) {
      _mm512_store_ps(scores_ + (first + i) * kPageLength, totals[i]);
    }
  }

  // sums = sums * factor + weights * values.
  void AddValues(int chunk, float factor) {
    for (int i = first_; i <= last_; ++i) {
      values_[i] = pages_.values(chunk_[i]);
      if (pages_.IsWhole(chunk, i)) continue;
      BFloat16* copy = i == last_ ? last_values_.data() : first_values_.data();
      pages_.CopyValues(chunk, i, copy);
      values_[i] = copy;
    }
    int dim = 0;
    for (; dim + 64 <= tile_.head_dim; dim += 64) AddStrip<4>(dim, factor);
    for (; dim < tile_.head_dim; dim += 32) AddStrip<2>(dim, factor);
  }

  // 16 kTiles dimensions.
  template <int kTiles>
  void AddStrip(int dim, float factor) {
    __m512 totals[kTiles];
    for (int tile = 0; tile < kTiles; ++tile) {
      totals[tile] = _mm512_mul_ps(_mm512_load_ps(sums_ + dim + 16 * tile),
                                   _mm512_set1_ps(factor));
    }
    for (int two_pages = 0; two_pages < kChunkPages; two_pages += 2) {
      PairSum sums[kTiles];
      for (int i = std::max(two_pages, first_);
           i <= std::min(two_pages + 1, last_); ++i) {
        for (int pair = 0; pair < kPairsAPage; ++pair) {
          const PairVector weights = PairVector::Broadcast(
              weights_.data() + i * kPageLength + 2 * pair);
          const int64_t offset = int64_t{2} * (pair * tile_.head_dim + dim);
#pragma GCC unroll 4
          for (int tile = 0; tile < kTiles; ++tile) {
            Prefetch(pages_.values(next_[i]) + offset + 32 * tile);
            sums[tile].Add(weights,
                           PairVector::Load(values_[i] + offset + 32 * tile));
          }
        }
      }
      for (int tile = 0; tile < kTiles; ++tile) {
        totals[tile] = _mm512_add_ps(totals[tile], sums[tile].Fold());
      }
    }
    for (int tile = 0; tile < kTiles; ++tile) {
      _mm512_store_ps(sums_ + dim + 16 * tile, totals[tile]);
    }
  }

  static void Prefetch(const BFloat16* line) {
    _mm_prefetch(reinterpret_cast<const char*>(line), _MM_HINT_T0);
  }

  void StoreOutput() {
    auto* output = static_cast<BFloat16*>(tile_.outputs);
    const __m512 factor = _mm512_set1_ps(1.0f / softmax_.total());
    for (int dim = 0; dim < tile_.head_dim; dim += 16) {
      const __m512 x = _mm512_mul_ps(_mm512_load_ps(sums_ + dim), factor);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(output + dim),
                          (__m256i)_mm512_cvtneps_pbh(x));
    }
  }

  const AttentionTile& tile_;
  const float scale_;
  const HeadPages pages_;
  RowSoftmax softmax_;
  int first_ = 0;  // of the chunk's pages, those with visible keys
  int last_ = 0;
  const BFloat16* chunk_[kChunkPages] = {};
  const BFloat16* next_[kChunkPages] = {};
  const BFloat16* values_[kChunkPages] = {};
  alignas(64) float scores_[kChunkLength];
  Scratch<kChunkLength> weights_;
  alignas(64) float sums_[kMaxDim];
  Scratch<kPageLength * kMaxDim> first_values_;
  Scratch<kPageLength * kMaxDim> last_values_;
};

}  // namespace blockserve::cpu::amx
AMX_TARGET_END

#endif  // BLOCKSERVE_KERNELS_CPU_AMX_ROW_ATTENTION_INL_H_
