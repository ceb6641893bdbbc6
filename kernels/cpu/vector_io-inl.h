// Loads and stores of fp32 vectors from and to memory of either type, with
// bf16 rounded to nearest even. Included once per Highway target.

// clang-format off
#if defined(BLOCKSERVE_KERNELS_CPU_VECTOR_IO_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef BLOCKSERVE_KERNELS_CPU_VECTOR_IO_INL_H_
#undef BLOCKSERVE_KERNELS_CPU_VECTOR_IO_INL_H_
#else
#define BLOCKSERVE_KERNELS_CPU_VECTOR_IO_INL_H_
#endif
// clang-format on

#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"
#include "kernels/api/dtype.h"

HWY_BEFORE_NAMESPACE();
namespace blockserve::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <class D>
using Words = hn::Rebind<uint32_t, D>;
template <class D>
using HalfWords = hn::Rebind<uint16_t, D>;

inline float FromFloat(float value, float) { return value; }
inline BFloat16 FromFloat(float value, BFloat16) { return ToBFloat16(value); }

template <class D>
HWY_INLINE hn::Vec<D> LoadVector(D d, const float* from) {
  return hn::LoadU(d, from);
}

template <class D>
HWY_INLINE hn::Vec<D> LoadVector(D d, const BFloat16* from) {
  const auto halves =
      hn::LoadU(HalfWords<D>(), reinterpret_cast<const uint16_t*>(from));
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(Words<D>(), halves)));
}

template <class D>
HWY_INLINE void StoreVector(hn::Vec<D> v, D d, float* to) {
  hn::StoreU(v, d, to);
}

// As ToBFloat16: NaN stays NaN. (Ne(v, v) is no test for it: the comparison is
// ordered in Highway 1.0.)
template <class D>
HWY_INLINE void StoreVector(hn::Vec<D> v, D d, BFloat16* to) {
  const Words<D> d_words;
  const hn::Rebind<int32_t, D> d_int;
  const auto bits = hn::BitCast(d_words, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d_words, 1));
  const auto rounded =
      hn::Add(bits, hn::Add(odd, hn::Set(d_words, uint32_t{0x7fff})));
  const auto quiet = hn::Or(bits, hn::Set(d_words, uint32_t{0x400000}));
  const auto is_nan = hn::RebindMask(d_words, hn::IsNaN(v));
  const auto high = hn::ShiftRight<16>(hn::IfThenElse(is_nan, quiet, rounded));
  // Values below 2^16: the saturation of DemoteTo never bites.
  hn::StoreU(hn::DemoteTo(HalfWords<D>(), hn::BitCast(d_int, high)),
             HalfWords<D>(), reinterpret_cast<uint16_t*>(to));
  (void)d;
}

// The first `count` < Lanes(d) elements, zeros behind them; reads no further.
template <class D, typename T>
HWY_INLINE hn::Vec<D> LoadPartial(D d, const T* from, size_t count) {
  HWY_ALIGN float lanes[hn::MaxLanes(d)] = {};
  for (size_t i = 0; i < count; ++i) lanes[i] = ToFloat(from[i]);
  return hn::Load(d, lanes);
}

template <class D, typename T>
HWY_INLINE void StorePartial(hn::Vec<D> v, D d, T* to, size_t count) {
  HWY_ALIGN float lanes[hn::MaxLanes(d)];
  hn::Store(v, d, lanes);
  for (size_t i = 0; i < count; ++i) to[i] = FromFloat(lanes[i], T());
}

// body(i, load, store) for each vector of [0, size): `load(p)` and
// `store(v, p)` access element i of the array p, whole or, at the end, partly.
template <class D, class Body>
HWY_INLINE void ForEachVector(D d, size_t size, const Body& body) {
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= size; i += lanes) {
    body(
        i, [d, i](const auto* p) { return LoadVector(d, p + i); },
        [d, i](hn::Vec<D> v, auto* p) { StoreVector(v, d, p + i); });
  }
  if (i == size) return;
  const size_t rest = size - i;
  body(
      i, [d, i, rest](const auto* p) { return LoadPartial(d, p + i, rest); },
      [d, i, rest](hn::Vec<D> v, auto* p) { StorePartial(v, d, p + i, rest); });
}

}  // namespace HWY_NAMESPACE
}  // namespace blockserve::cpu
HWY_AFTER_NAMESPACE();

#endif  // BLOCKSERVE_KERNELS_CPU_VECTOR_IO_INL_H_
