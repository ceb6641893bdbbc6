// Reads and writes of elements that are either fp32 or T: arithmetic in double,
// one rounding where a value is stored.
#ifndef BLOCKSERVE_KERNELS_REFERENCE_ELEMENT_H_
#define BLOCKSERVE_KERNELS_REFERENCE_ELEMENT_H_

#include <cstdint>

#include "kernels/api/dtype.h"
#include "kernels/api/tensor_view.h"

namespace blockserve::reference {

inline void Store(double value, float* element) {
  *element = static_cast<float>(value);
}

inline void Store(double value, BFloat16* element) {
  *element = ToBFloat16(static_cast<float>(value));
}

// For tensors whose type is known only at run time: fp32 or bf16.
inline float LoadElement(const TensorView& view, int64_t i) {
  if (view.dtype() == DType::kFloat32) return view.as<float>()[i];
  return ToFloat(view.as<BFloat16>()[i]);
}

inline void StoreElement(double value, const TensorView& view, int64_t i) {
  if (view.dtype() == DType::kFloat32) {
    Store(value, view.as<float>() + i);
  } else {
    Store(value, view.as<BFloat16>() + i);
  }
}

}  // namespace blockserve::reference

#endif  // BLOCKSERVE_KERNELS_REFERENCE_ELEMENT_H_
