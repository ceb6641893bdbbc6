// Rotation of a pair of elements by a position. Included by .cu files.
#ifndef BLOCKSERVE_KERNELS_CUDA_ROTARY_H_
#define BLOCKSERVE_KERNELS_CUDA_ROTARY_H_

#include <cstdint>

#include "kernels/cuda/compat.h"
#include "kernels/cuda/element.h"

namespace blockserve::cuda {

// Two elements of a head that turn together, or one that stays.
//
// A head of `head_dim` elements has head_dim - rotary_dim / 2 of them: those
// below rotary_dim / 2 are pairs with the element rotary_dim / 2 further on.
template <typename T>
class RotaryPair {
 public:
  __device__ static int CountOf(int head_dim, int rotary_dim) {
    return head_dim - rotary_dim / 2;
  }

  __device__ RotaryPair(int index, int rotary_dim)
      : half_(rotary_dim / 2),
        is_pair_(index < half_),
        first_(is_pair_ ? index : index + half_) {}

  // source: [head_dim]; rotary_row: [rotary_dim], not read without rotation.
  __device__ void Load(const T* source, const float* rotary_row) {
    a_ = source[first_];
    if (!is_pair_) return;
    const float a = ToFloat(a_);
    const float b = ToFloat(source[first_ + half_]);
    const float cosine = rotary_row[first_];
    const float sine = rotary_row[first_ + half_];
    a_ = FromFloat<T>(a * cosine - b * sine);
    b_ = FromFloat<T>(b * cosine + a * sine);
  }
  // The same without turning.
  __device__ void Copy(const T* source) {
    a_ = source[first_];
    if (is_pair_) b_ = source[first_ + half_];
  }
  __device__ void Store(T* target) const {
    target[first_] = a_;
    if (is_pair_) target[first_ + half_] = b_;
  }

 private:
  int half_;
  bool is_pair_;
  int first_;
  T a_;
  T b_;
};

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_ROTARY_H_
