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

// 2^x, exactly 0 below -126, NaN for NaN; within 2 ulp.
inline __m512 Exp2(__m512 x) {
  const __mmask16 kept =
      _mm512_cmp_ps_mask(x, _mm512_set1_ps(-126.0f), _CMP_NLT_UQ);
  const __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_NO_EXC);
  const __m512 r = _mm512_sub_ps(x, n);
  __m512 sum = _mm512_set1_ps(1.5403530e-4f);
  for (const float term : {1.3333558e-3f, 9.6181291e-3f, 5.5504109e-2f,
                           2.4022651e-1f, 6.9314718e-1f, 1.0f}) {
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
  uint64_t mask() const {
    const uint64_t below_end =
        end == kChunkLength ? ~uint64_t{0} : (uint64_t{1} << end) - 1;
    return begin == kChunkLength ? 0 : below_end >> begin << begin;
  }
};

// Weights of a chunk in two parts; weight = high + low, nearly.
struct SplitWeights {
  BFloat16* high;  // [kChunkLength]
  BFloat16* low;
};

class RowSoftmax {
 public:
  // The weights of `scores` [kChunkLength], of which only visible ones are
  // looked at (some are), times `scale` (with log2 e in it). Returns what the
  // sums of earlier chunks have to be multiplied with.
  float AddChunk(const float* scores, Visible visible, float scale,
                 SplitWeights weights) {
    const uint64_t mask = visible.mask();
    const __m512 minus_infinity =
        _mm512_set1_ps(-std::numeric_limits<float>::infinity());
    __m512 x[kChunkVectors];
    __m512 max = _mm512_set1_ps(max_);
    for (int i = 0; i < kChunkVectors; ++i) {
      const auto seen = static_cast<__mmask16>(mask >> (16 * i));
      x[i] = _mm512_mask_mul_ps(minus_infinity, seen,
                                _mm512_load_ps(scores + 16 * i),
                                _mm512_set1_ps(scale));
      // Drops NaN, which the weights will show.
      max = _mm512_max_ps(x[i], max);
    }
    const float new_max = _mm512_reduce_max_ps(max);
    max = _mm512_set1_ps(new_max);
    __m512 sum = _mm512_setzero_ps();
    for (int i = 0; i < kChunkVectors; ++i) {
      x[i] = Exp2(_mm512_sub_ps(x[i], max));
      sum = _mm512_add_ps(sum, x[i]);
      Split(x[i], weights.high + 16 * i, weights.low + 16 * i);
    }
    const float factor =
        _mm512_cvtss_f32(Exp2(_mm512_sub_ps(_mm512_set1_ps(max_), max)));
    max_ = new_max;
    total_ = total_ * factor + _mm512_reduce_add_ps(sum);
    return factor;
  }

  // Of all weights so far.
  float total() const { return total_; }

 private:
  static void Split(__m512 weights, BFloat16* high, BFloat16* low) {
    const __m256i high_part = (__m256i)_mm512_cvtneps_pbh(weights);
    const __m512 widened = _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(high_part), 16));
    const __m256i low_part =
        (__m256i)_mm512_cvtneps_pbh(_mm512_sub_ps(weights, widened));
    _mm256_store_si256(reinterpret_cast<__m256i*>(high), high_part);
    _mm256_store_si256(reinterpret_cast<__m256i*>(low), low_part);
  }

  float max_ = -std::numeric_limits<float>::infinity();
  float total_ = 0.0f;
};

}  // namespace blockserve::cpu::amx
AMX_TARGET_END

#endif  // BLOCKSERVE_KERNELS_CPU_AMX_SOFTMAX_INL_H_
