// Weights of the reference backend: row-major, rounded to T, nothing packed.
#ifndef BLOCKSERVE_KERNELS_REFERENCE_MATRIX_H_
#define BLOCKSERVE_KERNELS_REFERENCE_MATRIX_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/api/dtype.h"
#include "kernels/api/ops.h"
#include "kernels/reference/element.h"

namespace blockserve::reference {

template <typename T>
class ReferenceMatrix : public Matrix {
 public:
  // weight: [out_dim, in_dim]; copied.
  ReferenceMatrix(const float* weight, int64_t out_dim, int64_t in_dim)
      : out_dim_(out_dim), in_dim_(in_dim), elements_(out_dim * in_dim) {
    for (size_t i = 0; i < elements_.size(); ++i) {
      Store(weight[i], &elements_[i]);
    }
  }

  int64_t out_dim() const override { return out_dim_; }
  int64_t in_dim() const override { return in_dim_; }
  size_t num_bytes() const override { return elements_.size() * sizeof(T); }

  const T* row(int64_t i) const { return elements_.data() + i * in_dim_; }

 private:
  int64_t out_dim_;
  int64_t in_dim_;
  std::vector<T> elements_;
};

// sum a[i] b[i] in double. Four running sums only because one would wait for
// each addition in turn.
template <typename T>
double Dot(const T* a, const T* b, int64_t length) {
  double sums[4] = {};
  int64_t i = 0;
  for (; i + 4 <= length; i += 4) {
    for (int lane = 0; lane < 4; ++lane) {
      sums[lane] += static_cast<double>(ToFloat(a[i + lane])) *
                    static_cast<double>(ToFloat(b[i + lane]));
    }
  }
  for (; i < length; ++i) {
    sums[0] +=
        static_cast<double>(ToFloat(a[i])) * static_cast<double>(ToFloat(b[i]));
  }
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

}  // namespace blockserve::reference

#endif  // BLOCKSERVE_KERNELS_REFERENCE_MATRIX_H_
