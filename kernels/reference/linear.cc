#include "kernels/reference/linear.h"

#include <cmath>
#include <cstdint>
#include <numbers>

#include "kernels/reference/element.h"
#include "kernels/reference/matrix.h"

namespace blockserve::reference {

double Activate(double x, Activation activation) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kGelu:
      return 0.5 * x * (1.0 + std::erf(x / std::numbers::sqrt2));
    case Activation::kGeluTanh: {
      const double inner =
          std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x);
      return 0.5 * x * (1.0 + std::tanh(inner));
    }
    case Activation::kRelu:
      return x < 0.0 ? 0.0 : x;  // NaN stays NaN
  }
  return x;
}

template <typename T>
void Linear(const LinearArgs& args) {
  const auto& weight = static_cast<const ReferenceMatrix<T>&>(*args.weight);
  const int64_t rows = args.input.dim(0);
  const int64_t in_dim = weight.in_dim();
  const int64_t out_dim = weight.out_dim();
  const T* input = args.input.as<T>();
  const float* bias = args.bias.empty() ? nullptr : args.bias.as<float>();
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < out_dim; ++column) {
      double sum = Dot(input + row * in_dim, weight.row(column), in_dim);
      if (bias != nullptr) sum += bias[column];
      sum = Activate(sum, args.activation);
      const int64_t i = row * out_dim + column;
      if (args.accumulate) sum += LoadElement(args.output, i);
      StoreElement(sum, args.output, i);
    }
  }
}

template void Linear<float>(const LinearArgs& args);
template void Linear<BFloat16>(const LinearArgs& args);

}  // namespace blockserve::reference
