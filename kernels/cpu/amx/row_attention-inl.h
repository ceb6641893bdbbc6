// Neighbouring heads of one query. Keys and values are read once, so that
// memory is the limit. The heads take turns with each chunk: their head pages
// follow each other in memory, so that a chunk is kChunkPages long streams,
// which the hardware's prefetchers are made for.
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
  static constexpr int kMaxHeads = 16;

  // `tile`: the first of `num_heads` <= kMaxHeads. `scale`: with log2 e in it.
  RowAttention(const AttentionTile& tile, int num_heads, float scale)
      : tile_(tile),
        num_heads_(num_heads),
        scale_(scale),
        pages_(tile, tile.key_begin[0], tile.key_end[0]) {
    std::fill_n(sums_, num_heads * tile.head_dim, 0.0f);
  }

  void Run() {
    for (int chunk = pages_.first_chunk(); chunk < pages_.end();
         chunk += kChunkLength) {
      FindPages(chunk);
      for (int head = 0; head < num_heads_; ++head) {
        AddChunk(chunk, head);
        for (int i = first_; i <= last_; ++i) chunk_[i] += head_page_size();
      }
    }
    for (int head = 0; head < num_heads_; ++head) StoreOutput(head);
  }

 private:
  int head_page_size() const { return 2 * kPageLength * tile_.head_dim; }

  void AddChunk(int chunk, int head) {
    const BFloat16* query = static_cast<const BFloat16*>(tile_.queries) +
                            head * tile_.query_head_stride;
    if (first_ == 0 && last_ == kChunkPages - 1) {
      Scores<kChunkPages>(query, 0);
    } else {
      for (int i = first_; i <= last_; ++i) Scores<1>(query, i);
    }
    const float factor = softmax_[head].AddChunk(
        scores_, Visible::InChunk(pages_.begin(), pages_.end(), chunk), scale_,
        weights_.data());
    AddValues(chunk, factor, sums_ + head * tile_.head_dim);
  }

  // The chunk's visible pages.
  void FindPages(int chunk) {
    first_ = std::max(pages_.begin() - chunk, 0) / kPageLength;
    last_ = std::min(pages_.end() - 1 - chunk, kChunkLength - 1) / kPageLength;
    for (int i = first_; i <= last_; ++i) chunk_[i] = pages_.page(chunk, i);
  }

  // Of kPages pages from `first` on.
  template <int kPages>
  void Scores(const BFloat16* query, int first) {
    __m512 totals[kPages];
    for (__m512& total : totals) total = _mm512_setzero_ps();
    for (int dim = 0; dim < tile_.head_dim; dim += kTileDepth) {
      PairSum sums[kPages];
      for (int d = dim; d < dim + kTileDepth; d += 2) {
        const PairVector q = PairVector::Broadcast(query + d);
        for (int i = 0; i < kPages; ++i) {
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
  void AddValues(int chunk, float factor, float* sums) {
    for (int i = first_; i <= last_; ++i) {
      values_[i] = pages_.values(chunk_[i]);
      if (pages_.IsWhole(chunk, i)) continue;
      BFloat16* copy = i == last_ ? last_values_.data() : first_values_.data();
      pages_.CopyVisibleValues(chunk, i, chunk_[i], copy);
      values_[i] = copy;
    }
    int dim = 0;
    for (; dim + 64 <= tile_.head_dim; dim += 64)
      AddStrip<4>(dim, factor, sums + dim);
    for (; dim < tile_.head_dim; dim += 32)
      AddStrip<2>(dim, factor, sums + dim);
  }

  // 16 kTiles dimensions.
  template <int kTiles>
  void AddStrip(int dim, float factor, float* sums_of_dims) {
    __m512 totals[kTiles];
    for (int tile = 0; tile < kTiles; ++tile) {
      totals[tile] = _mm512_mul_ps(_mm512_load_ps(sums_of_dims + 16 * tile),
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
      _mm512_store_ps(sums_of_dims + 16 * tile, totals[tile]);
    }
  }

  void StoreOutput(int head) {
    auto* output =
        static_cast<BFloat16*>(tile_.outputs) + int64_t{head} * tile_.head_dim;
    const float* sums = sums_ + head * tile_.head_dim;
    const __m512 factor = _mm512_set1_ps(1.0f / softmax_[head].total());
    for (int dim = 0; dim < tile_.head_dim; dim += 16) {
      const __m512 x = _mm512_mul_ps(_mm512_load_ps(sums + dim), factor);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(output + dim),
                          (__m256i)_mm512_cvtneps_pbh(x));
    }
  }

  const AttentionTile& tile_;
  const int num_heads_;
  const float scale_;
  const HeadPages pages_;
  RowSoftmax softmax_[kMaxHeads];
  int first_ = 0;  // of the chunk's pages, those with visible keys
  int last_ = 0;
  const BFloat16* chunk_[kChunkPages] = {};
  const BFloat16* values_[kChunkPages] = {};
  alignas(64) float scores_[kChunkLength];
  Scratch<kChunkLength> weights_;
  alignas(64) float sums_[kMaxHeads * kMaxDim];  // [head, dim]
  Scratch<kPageLength * kMaxDim> first_values_;
  Scratch<kPageLength * kMaxDim> last_values_;
};

}  // namespace blockserve::cpu::amx
AMX_TARGET_END

#endif  // BLOCKSERVE_KERNELS_CPU_AMX_ROW_ATTENTION_INL_H_
