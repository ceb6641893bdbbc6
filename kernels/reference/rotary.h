// Rotation of a vector by its position (FORMAT.md 5.1).
#ifndef BLOCKSERVE_KERNELS_REFERENCE_ROTARY_H_
#define BLOCKSERVE_KERNELS_REFERENCE_ROTARY_H_

#include <glog/logging.h>

#include <cstdint>

#include "kernels/api/dtype.h"
#include "kernels/api/tensor_view.h"
#include "kernels/reference/element.h"

namespace blockserve::reference {

// Turns elements i and i + rotary_dim / 2 of `vector` together, in place.
//   rotary: float [num_positions, rotary_dim], or empty: nothing happens
//   positions: int32; positions[i] is where the vector stands
template <typename T>
void Rotate(const TensorView& rotary, const TensorView& positions, int64_t i,
            T* vector) {
  if (rotary.empty()) return;
  const int64_t rotary_dim = rotary.dim(1);
  const int64_t half = rotary_dim / 2;
  const int32_t position = positions.as<int32_t>()[i];
  CHECK(position >= 0 && position < rotary.dim(0)) << "position " << position;
  const float* cosines = rotary.as<float>() + position * rotary_dim;
  const float* sines = cosines + half;
  for (int64_t k = 0; k < half; ++k) {
    const double a = ToFloat(vector[k]);
    const double b = ToFloat(vector[k + half]);
    Store(a * cosines[k] - b * sines[k], vector + k);
    Store(b * cosines[k] + a * sines[k], vector + k + half);
  }
}

}  // namespace blockserve::reference

#endif  // BLOCKSERVE_KERNELS_REFERENCE_ROTARY_H_
