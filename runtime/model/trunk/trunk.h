// A stack of causal transformer layers, without the embedding before it and the
// head behind it.
#ifndef BLOCKSERVE_RUNTIME_MODEL_TRUNK_TRUNK_H_
#define BLOCKSERVE_RUNTIME_MODEL_TRUNK_TRUNK_H_

#include <cstdint>
#include <string>

#include "kernels/api/ops.h"
#include "kernels/api/tensor_view.h"
#include "runtime/layers/activations.h"
#include "runtime/layers/layer_attention.h"
#include "runtime/layers/observer.h"

namespace blockserve {

// What the parts of a model share; all of it outlives them.
struct TrunkContext {
  Ops& ops;
  Activations& activations;
  const Observer& observer;
};

// One run of all layers over some rows.
struct TrunkPass {
  TensorView residual;  // float [rows, hidden_dim]: the input; changed
  // int32, row i's position at i * position_ids_stride. Read by trunks with
  // learned positions; others leave positions to the attention.
  TensorView position_ids;
  int64_t position_ids_stride = 1;
  LayerAttention* attention = nullptr;
  // The last layer goes on with the attention's output_rows alone.
  bool outputs_only = false;
  // In a group: the outputs are dealt to the ranks (parallel/api/shard.h,
  // RowsOf), and `output` has this rank's rows alone.
  bool deal_outputs = false;
  TensorView output;        // T [rows or num_outputs, hidden_dim], normed
  TensorView float_output;  // float, the same, or empty
};

// Immutable after loading.
class Trunk {
 public:
  virtual ~Trunk() = default;

  // Enqueued; shows the observer "<name>layer_input.<l>", the residual stream
  // that enters each layer.
  virtual void Run(const TrunkPass& pass) const = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_TRUNK_TRUNK_H_
