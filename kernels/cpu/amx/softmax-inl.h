// The online softmax of one row: scores of a chunk of keys become weights
// relative to the largest score so far.
#ifndef BLOCKSERVE_KERNELS_CPU_AMX_SOFTMAX_INL_H_
#define BLOCKSERVE_KERNELS_CPU_AMX_SOFTMAX_INL_H_

#include <algorithm>
#include <cstdint>
#include <limits>

#include "kernels/api/dtype.h"
#include "kernels/api/ops.h"
#include "kernels/cpu/amx/target.h"

AMX_TARGET_BEGIN
namespace blockserve::cpu::amx {

// Keys of a chunk: four pages, which with the next four fit the first-level
// cache (4 KB a head page at head_dim 64).
inline constexpr int kChunkPages = 4;
inline constexpr int kChunkLength = kChunkPages * kPageLength;
inline constexpr int kChunkVectors = kChunkLength / 16;

// 2^x, exactly 0 below -126, NaN for NaN; within 5e-5 of it, an hundredth of
// what rounding to bf16 costs.
inline __m512 Exp2(__m512 x) {
  const __mmask16 kept =
      _mm512_cmp_ps_mask(x, _mm512_set1_ps(-126.0f), _CMP_NLT_UQ);
  const __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_NO_EXC);
  const __m512 r = _mm512_sub_ps(x, n);
  __m512 sum = _mm512_set1_ps(9.6181291e-3f);
  for (const float term : {5.5504109e-2f, 2.4022651e-1f, 6.9314718e-1f, 1.0f}) {
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(term));
  }
  return _mm512_maskz_scalef_ps(kept, sum, n);
}

// The keys of a chunk that a row sees.
struct Visible {
  int begin = 0;
  int end = 0;

  // Of a chunk that begins at key `chunk`; the row sees [key_begin, key_end).
  static Visible InChunk(int key_begin, int key_end, int chunk) {
    return {std::clamp(key_begin - chunk, 0, kChunkLength),
            std::clamp(key_end - chunk, 0, kChunkLength)};
  }
  bool empty() const { return begin >= end; }
  bool whole() const { return begin == 0 && end == kChunkLength; }
  uint64_t mask() const {
    const uint64_t below_end =
        end == kChunkLength ? ~uint64_t{0} : (uint64_t{1} << end) - 1;
    return begin == kChunkLength ? 0 : below_end >> begin << begin;
  }
};

class RowSoftmax {
 public:
  RowSoftmax() : totals_(_mm512_setzero_ps()) {}

  // The weights of `scores` [kChunkLength], of which only visible ones are
  // looked at (some are), times `scale` (with log2 e in it). Returns what the
  // sums of earlier chunks have to be multiplied with: 1 for most chunks.
  //   weights: [kChunkLength]
  float AddChunk(const float* scores, Visible visible, float scale,
                 BFloat16* weights) {
    __m512 x[kChunkVectors];
    const __m512 factor = _mm512_set1_ps(scale);
    for (int i = 0; i < kChunkVectors; ++i) {
      x[i] = _mm512_mul_ps(_mm512_load_ps(scores + 16 * i), factor);
    }
    if (!visible.whole()) Hide(visible.mask(), x);
    const float rescale = RaiseMax(x);
    const __m512 max = _mm512_set1_ps(max_);
    __m512 sum = _mm512_setzero_ps();
    for (int i = 0; i < kChunkVectors; i += 2) {
      const __m512 low = Exp2(_mm512_sub_ps(x[i], max));
      const __m512 high = Exp2(_mm512_sub_ps(x[i + 1], max));
      sum = _mm512_add_ps(sum, _mm512_add_ps(low, high));
      _mm512_store_si512(weights + 16 * i,
                         (__m512i)_mm512_cvtne2ps_pbh(high, low));
    }
    totals_ = _mm512_fmadd_ps(totals_, _mm512_set1_ps(rescale), sum);
    return rescale;
  }

  // Of all weights so far.
  float total() const { return _mm512_reduce_add_ps(totals_); }

 private:
  static void Hide(uint64_t mask, __m512 (&x)[kChunkVectors]) {
    const __m512 minus_infinity =
        _mm512_set1_ps(-std::numeric_limits<float>::infinity());
    for (int i = 0; i < kChunkVectors; ++i) {
      const auto seen = static_cast<__mmask16>(mask >> (16 * i));
      x[i] = _mm512_mask_mov_ps(minus_infinity, seen, x[i]);
    }
  }

  // A sum over lanes is the slowest part, and most chunks hold no new maximum.
  float RaiseMax(const __m512 (&x)[kChunkVectors]) {
    __m512 max = _mm512_set1_ps(max_);
    const __m512 before = max;
    // Drops NaN, which the weights will show.
    for (const __m512& vector : x) max = _mm512_max_ps(vector, max);
    if (_mm512_cmp_ps_mask(max, before, _CMP_GT_OQ) == 0) return 1.0f;
    max_ = _mm512_reduce_max_ps(max);
    return _mm512_cvtss_f32(Exp2(_mm512_sub_ps(before, _mm512_set1_ps(max_))));
  }

  float max_ = -std::numeric_limits<float>::infinity();
  __m512 totals_;  // a lane's weights
};

}  // namespace blockserve::cpu::amx
AMX_TARGET_END

#endif  // BLOCKSERVE_KERNELS_CPU_AMX_SOFTMAX_INL_H_
