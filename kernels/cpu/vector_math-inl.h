// Functions of fp32 vectors. Included once per Highway target.

// clang-format off
#if defined(BLOCKSERVE_KERNELS_CPU_VECTOR_MATH_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef BLOCKSERVE_KERNELS_CPU_VECTOR_MATH_INL_H_
#undef BLOCKSERVE_KERNELS_CPU_VECTOR_MATH_INL_H_
#else
#define BLOCKSERVE_KERNELS_CPU_VECTOR_MATH_INL_H_
#endif
// clang-format on

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace blockserve::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// exp(x) for x <= 0, as softmax needs it: within 2 ulp, 0 below -87 (where the
// result would be subnormal), NaN for NaN.
template <class D>
HWY_INLINE hn::Vec<D> ExpOfNonPositive(D d, hn::Vec<D> x) {
  const hn::Rebind<int32_t, D> d_int;
  const auto lowest = hn::Set(d, -87.0f);
  const auto vanishes = hn::Lt(x, lowest);
  const auto clamped = hn::IfThenElse(vanishes, lowest, x);
  // x = n ln 2 + r, |r| <= ln 2 / 2, with ln 2 in two parts.
  const auto n = hn::Round(hn::Mul(clamped, hn::Set(d, 1.44269504f)));
  auto r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), clamped);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  // Taylor: the first term left out is below 6e-9.
  auto sum = hn::Set(d, 1.0f / 5040);
  sum = hn::MulAdd(sum, r, hn::Set(d, 1.0f / 720));
  sum = hn::MulAdd(sum, r, hn::Set(d, 1.0f / 120));
  sum = hn::MulAdd(sum, r, hn::Set(d, 1.0f / 24));
  sum = hn::MulAdd(sum, r, hn::Set(d, 1.0f / 6));
  sum = hn::MulAdd(sum, r, hn::Set(d, 0.5f));
  sum = hn::MulAdd(sum, r, hn::Set(d, 1.0f));
  sum = hn::MulAdd(sum, r, hn::Set(d, 1.0f));
  const auto exponent =
      hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(d_int, n), hn::Set(d_int, 127)));
  return hn::IfThenZeroElse(vanishes, hn::Mul(sum, hn::BitCast(d, exponent)));
}

}  // namespace HWY_NAMESPACE
}  // namespace blockserve::cpu
HWY_AFTER_NAMESPACE();

#endif  // BLOCKSERVE_KERNELS_CPU_VECTOR_MATH_INL_H_
