#include "runtime/layers/dense.h"

namespace blockserve {

TensorView Dense::bias_view() const {
  if (bias.data() == nullptr) return TensorView();
  return bias.View(DType::kFloat32, {out_dim()});
}

void Dense::Apply(Ops& ops, const TensorView& input, const TensorView& output,
                  Activation activation) const {
  ops.Linear({.input = input,
              .weight = weight.get(),
              .bias = bias_view(),
              .activation = activation,
              .output = output});
}

void Dense::AddTo(Ops& ops, const TensorView& input,
                  const TensorView& sum) const {
  ops.Linear({.input = input,
              .weight = weight.get(),
              .bias = bias_view(),
              .accumulate = true,
              .output = sum});
}

}  // namespace blockserve
