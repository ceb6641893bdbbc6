// Attention of one query: keys and values go in one by one, and out comes
// sum softmax(scores) value.
#ifndef BLOCKSERVE_KERNELS_REFERENCE_SOFTMAX_SUM_H_
#define BLOCKSERVE_KERNELS_REFERENCE_SOFTMAX_SUM_H_

#include <glog/logging.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/reference/element.h"
#include "kernels/reference/matrix.h"

namespace blockserve::reference {

// Rescales what it has summed whenever a larger score comes, so that it needs
// no memory for the scores.
template <typename T>
class SoftmaxSum {
 public:
  static constexpr int kMaxHeadDim = 512;

  SoftmaxSum(const T* query, int64_t head_dim, double scale)
      : query_(query), head_dim_(head_dim), scale_(scale) {
    CHECK_LE(head_dim, kMaxHeadDim);
    for (int64_t i = 0; i < head_dim; ++i) sums_[i] = 0.0;
  }

  void Add(const T* key, const T* value, double bias = 0.0) {
    const double score = scale_ * Dot(query_, key, head_dim_) + bias;
    if (score == -std::numeric_limits<double>::infinity()) return;
    if (score > max_score_) {
      Scale(std::exp(max_score_ - score));
      max_score_ = score;
    }
    const double weight = std::exp(score - max_score_);
    weight_sum_ += weight;
    for (int64_t i = 0; i < head_dim_; ++i) {
      sums_[i] += weight * ToFloat(value[i]);
    }
  }

  // Zero if no key came.
  void Write(T* output) const {
    for (int64_t i = 0; i < head_dim_; ++i) {
      Store(weight_sum_ == 0.0 ? 0.0 : sums_[i] / weight_sum_, output + i);
    }
  }

 private:
  void Scale(double factor) {
    weight_sum_ *= factor;
    for (int64_t i = 0; i < head_dim_; ++i) sums_[i] *= factor;
  }

  const T* query_;
  int64_t head_dim_;
  double scale_;
  double max_score_ = -std::numeric_limits<double>::infinity();
  double weight_sum_ = 0.0;
  std::array<double, kMaxHeadDim> sums_;
};

}  // namespace blockserve::reference

#endif  // BLOCKSERVE_KERNELS_REFERENCE_SOFTMAX_SUM_H_
