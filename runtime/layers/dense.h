// A dense layer: a packed matrix and its bias.
#ifndef BLOCKSERVE_RUNTIME_LAYERS_DENSE_H_
#define BLOCKSERVE_RUNTIME_LAYERS_DENSE_H_

#include <memory>

#include "kernels/api/buffer.h"
#include "kernels/api/ops.h"
#include "kernels/api/tensor_view.h"

namespace blockserve {

// Immutable once loaded (WeightLoader).
struct Dense {
  std::unique_ptr<Matrix> weight;
  Buffer bias;  // float [out_dim], or no memory: no bias

  int64_t out_dim() const { return weight->out_dim(); }
  int64_t in_dim() const { return weight->in_dim(); }

  // output = activation(input W^T + bias).
  //   input: T [rows, in_dim]; output: T or float [rows, out_dim]
  void Apply(Ops& ops, const TensorView& input, const TensorView& output,
             Activation activation = Activation::kNone) const;
  // sum += input W^T + bias.  sum: float [rows, out_dim]
  void AddTo(Ops& ops, const TensorView& input, const TensorView& sum) const;

 private:
  TensorView bias_view() const;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_LAYERS_DENSE_H_
