// Sums of products of bf16 pairs by vectors, as the tile instruction makes
// them: the even products are added up, the odd ones too, by fused
// multiply-add.
#ifndef BLOCKSERVE_KERNELS_CPU_AMX_PAIR_VECTOR_INL_H_
#define BLOCKSERVE_KERNELS_CPU_AMX_PAIR_VECTOR_INL_H_

#include <cstdint>
#include <cstring>

#include "kernels/api/dtype.h"
#include "kernels/cpu/amx/target.h"

AMX_TARGET_BEGIN
namespace blockserve::cpu::amx {

// 16 pairs in fp32.
struct PairVector {
  static PairVector Widen(__m512i pairs) {
    return {_mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)),
            _mm512_castsi512_ps(
                _mm512_and_si512(pairs, _mm512_set1_epi32(0xffff0000)))};
  }
  static PairVector Load(const BFloat16* from) {
    return Widen(_mm512_loadu_si512(from));
  }
  // One pair, in every lane.
  static PairVector Broadcast(const BFloat16* from) {
    int32_t pair;
    std::memcpy(&pair, from, sizeof(pair));
    return Widen(_mm512_set1_epi32(pair));
  }

  __m512 even;
  __m512 odd;
};

struct PairSum {
  PairSum() : even(_mm512_setzero_ps()), odd(_mm512_setzero_ps()) {}

  void Add(const PairVector& a, const PairVector& b) {
    even = _mm512_fmadd_ps(a.even, b.even, even);
    odd = _mm512_fmadd_ps(a.odd, b.odd, odd);
  }
  __m512 Fold() const { return _mm512_add_ps(even, odd); }

  __m512 even;
  __m512 odd;
};

}  // namespace blockserve::cpu::amx
AMX_TARGET_END

#endif  // BLOCKSERVE_KERNELS_CPU_AMX_PAIR_VECTOR_INL_H_
