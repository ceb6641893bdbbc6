// Activation functions of 16 fp32 numbers, for epilogues: they run between tile
// instructions, so that what counts is the number of instructions.
#ifndef BLOCKSERVE_KERNELS_CPU_AMX_ACTIVATION_INL_H_
#define BLOCKSERVE_KERNELS_CPU_AMX_ACTIVATION_INL_H_

#include "kernels/api/ops.h"
#include "kernels/cpu/amx/normal_tail.h"
#include "kernels/cpu/amx/target.h"

AMX_TARGET_BEGIN
namespace blockserve::cpu::amx {

// x Phi(x) = x / 2 (1 + erf(x / sqrt(2))) by a table of Phi(-|x|), a
// permutation of registers: half the instructions of an erf by exp and
// division, and as exact (the absolute error of Phi is below 5e-7).
inline __m512 Gelu(__m512 x, const NormalTail& table) {
  const __m512 end = _mm512_set1_ps(NormalTail::kEnd);
  // The operands' order matters: min and max return the second one for NaN.
  const __m512 magnitude = _mm512_min_ps(_mm512_abs_ps(x), end);
  const __m512i interval = _mm512_cvttps_epi32(
      _mm512_mul_ps(magnitude, _mm512_set1_ps(NormalTail::kIntervalsPerUnit)));
  const __m512 t =
      _mm512_fnmadd_ps(_mm512_cvtepi32_ps(interval),
                       _mm512_set1_ps(NormalTail::kWidth), magnitude);
  const auto coefficient = [&](int power) {
    const float* values = table.coefficients[power];
    return _mm512_permutex2var_ps(_mm512_load_ps(values), interval,
                                  _mm512_load_ps(values + 16));
  };
  __m512 tail = coefficient(3);
  tail = _mm512_fmadd_ps(tail, t, coefficient(2));
  tail = _mm512_fmadd_ps(tail, t, coefficient(1));
  tail = _mm512_fmadd_ps(tail, t, coefficient(0));
  // Beyond the table Phi is not zero but its last value: keep x from growing.
  const __m512 bounded = _mm512_max_ps(_mm512_set1_ps(-NormalTail::kEnd), x);
  const __mmask16 negative = _mm512_movepi32_mask(_mm512_castps_si512(x));
  const __m512 phi = _mm512_mask_sub_ps(tail, _knot_mask16(negative),
                                        _mm512_set1_ps(1.0f), tail);
  return _mm512_mul_ps(bounded, phi);
}

// exp(x) within 2 ulp for |x| <= 87; beyond that the value there.
inline __m512 ClampedExp(__m512 x) {
  x = _mm512_min_ps(_mm512_set1_ps(87.0f), x);
  x = _mm512_max_ps(_mm512_set1_ps(-87.0f), x);
  const __m512 n = _mm512_roundscale_ps(
      _mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _MM_FROUND_NO_EXC);
  // ln 2 in two parts.
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
  __m512 sum = _mm512_set1_ps(1.0f / 720);
  for (const float term : {1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) {
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(term));
  }
  return _mm512_scalef_ps(sum, n);
}

// x / 2 (1 + tanh(u)) = x / (1 + exp(-2 u)), u = sqrt(2 / pi) (x + 0.044715
// x^3).
inline __m512 GeluTanh(__m512 x) {
  const __m512 square = _mm512_mul_ps(x, x);
  const __m512 factor =
      _mm512_fmadd_ps(square, _mm512_set1_ps(-2 * 0.797884561f * 0.044715f),
                      _mm512_set1_ps(-2 * 0.797884561f));
  const __m512 exp = ClampedExp(_mm512_mul_ps(x, factor));
  return _mm512_div_ps(x, _mm512_add_ps(_mm512_set1_ps(1.0f), exp));
}

template <Activation kActivation>
inline __m512 Activate(__m512 x, const NormalTail& tail) {
  switch (kActivation) {
    case Activation::kNone:
      return x;
    case Activation::kGelu:
      return Gelu(x, tail);
    case Activation::kGeluTanh:
      return GeluTanh(x);
    case Activation::kRelu:
      return _mm512_max_ps(_mm512_setzero_ps(), x);
  }
  (void)tail;
}

}  // namespace blockserve::cpu::amx
AMX_TARGET_END

#endif  // BLOCKSERVE_KERNELS_CPU_AMX_ACTIVATION_INL_H_
