// The parameters of layer norms and RMS norms.
#ifndef BLOCKSERVE_RUNTIME_LAYERS_NORM_H_
#define BLOCKSERVE_RUNTIME_LAYERS_NORM_H_

#include <cstdint>

#include "kernels/api/buffer.h"
#include "kernels/api/ops.h"
#include "kernels/api/tensor_view.h"

namespace blockserve {

// Immutable once loaded (WeightLoader).
struct LayerNormWeights {
  Buffer gamma;  // float [dim]
  Buffer beta;   // float [dim]
  int64_t dim = 0;
  float eps = 0;

  TensorView gamma_view() const { return gamma.View(DType::kFloat32, {dim}); }
  TensorView beta_view() const { return beta.View(DType::kFloat32, {dim}); }

  // Either output may be empty.
  //   input: float [rows, dim]; output: T; float_output: float, may be `input`
  void Apply(Ops& ops, const TensorView& input, const TensorView& output,
             const TensorView& float_output = TensorView()) const {
    ops.LayerNorm({.input = input,
                   .gamma = gamma_view(),
                   .beta = beta_view(),
                   .eps = eps,
                   .output = output,
                   .float_output = float_output});
  }
};

// Immutable once loaded (WeightLoader).
struct RmsNormWeights {
  Buffer gamma;  // float [dim]
  int64_t dim = 0;
  float eps = 0;

  // As LayerNormWeights::Apply.
  void Apply(Ops& ops, const TensorView& input, const TensorView& output,
             const TensorView& float_output = TensorView()) const {
    ops.RmsNorm({.input = input,
                 .gamma = gamma.View(DType::kFloat32, {dim}),
                 .eps = eps,
                 .output = output,
                 .float_output = float_output});
  }
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_LAYERS_NORM_H_
