// Rotation of a vector by its position (FORMAT.md 5.1). Included once per
// Highway target.

// clang-format off
#if defined(BLOCKSERVE_KERNELS_CPU_ROTARY_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef BLOCKSERVE_KERNELS_CPU_ROTARY_INL_H_
#undef BLOCKSERVE_KERNELS_CPU_ROTARY_INL_H_
#else
#define BLOCKSERVE_KERNELS_CPU_ROTARY_INL_H_
#endif
// clang-format on

#include <cstddef>

#include "hwy/highway.h"
#include "kernels/cpu/vector_io-inl.h"

HWY_BEFORE_NAMESPACE();
namespace blockserve::cpu {
namespace HWY_NAMESPACE {

// Turns elements i and i + half together, i < half, in place.
//   cosines: float [half], with as many sines behind them
template <typename T>
void Rotate(const float* cosines, size_t half, T* vector) {
  // Eight lanes: half is 8 for the usual 16 of 64 dimensions.
  const hn::CappedTag<float, 8> d;
  const float* sines = cosines + half;
  T* upper = vector + half;
  ForEachVector(d, half, [&](size_t, auto load, auto store) HWY_ATTR {
    const auto a = load(vector);
    const auto b = load(upper);
    const auto cosine = load(cosines);
    const auto sine = load(sines);
    store(hn::NegMulAdd(b, sine, hn::Mul(a, cosine)), vector);
    store(hn::MulAdd(a, sine, hn::Mul(b, cosine)), upper);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace blockserve::cpu
HWY_AFTER_NAMESPACE();

#endif  // BLOCKSERVE_KERNELS_CPU_ROTARY_INL_H_
