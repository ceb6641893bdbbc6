#include "kernels/reference/norm.h"

#include <cmath>
#include <cstdint>

#include "kernels/reference/element.h"

namespace blockserve::reference {
namespace {

struct Moments {
  double mean = 0.0;
  double reciprocal_deviation = 0.0;
};

Moments MomentsOf(const float* row, int64_t dim, double eps) {
  double mean = 0.0;
  for (int64_t i = 0; i < dim; ++i) mean += row[i];
  mean /= static_cast<double>(dim);
  double variance = 0.0;
  for (int64_t i = 0; i < dim; ++i) {
    variance += (row[i] - mean) * (row[i] - mean);
  }
  variance /= static_cast<double>(dim);
  return {mean, 1.0 / std::sqrt(variance + eps)};
}

void StoreIfGiven(double value, const TensorView& view, int64_t i) {
  if (!view.empty()) StoreElement(value, view, i);
}

}  // namespace

void LayerNorm(const LayerNormArgs& args) {
  const int64_t rows = args.input.dim(0);
  const int64_t dim = args.input.dim(1);
  const float* gamma = args.gamma.as<float>();
  const float* beta = args.beta.as<float>();
  for (int64_t row = 0; row < rows; ++row) {
    const float* input = args.input.as<float>() + row * dim;
    const Moments moments = MomentsOf(input, dim, args.eps);
    for (int64_t i = 0; i < dim; ++i) {
      const double normal =
          (input[i] - moments.mean) * moments.reciprocal_deviation;
      const double value = normal * gamma[i] + beta[i];
      StoreIfGiven(value, args.output, row * dim + i);
      StoreIfGiven(value, args.float_output, row * dim + i);
    }
  }
}

void DualLayerNorm(const DualLayerNormArgs& args) {
  LayerNorm({.input = args.input,
             .gamma = args.gamma_a,
             .beta = args.beta_a,
             .eps = args.eps,
             .output = args.output_a});
  LayerNorm({.input = args.input,
             .gamma = args.gamma_b,
             .beta = args.beta_b,
             .eps = args.eps,
             .output = args.output_b});
}

void RmsNorm(const RmsNormArgs& args) {
  const int64_t rows = args.input.dim(0);
  const int64_t dim = args.input.dim(1);
  const float* gamma = args.gamma.as<float>();
  for (int64_t row = 0; row < rows; ++row) {
    const float* input = args.input.as<float>() + row * dim;
    double mean_square = 0.0;
    for (int64_t i = 0; i < dim; ++i) {
      mean_square += static_cast<double>(input[i]) * input[i];
    }
    mean_square /= static_cast<double>(dim);
    const double factor = 1.0 / std::sqrt(mean_square + args.eps);
    for (int64_t i = 0; i < dim; ++i) {
      const double value = input[i] * factor * gamma[i];
      StoreIfGiven(value, args.output, row * dim + i);
      StoreIfGiven(value, args.float_output, row * dim + i);
    }
  }
}

}  // namespace blockserve::reference
