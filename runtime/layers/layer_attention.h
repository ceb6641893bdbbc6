// The attention inside a transformer layer: the part of a trunk that differs
// between a paged cache and a block's own few positions.
#ifndef BLOCKSERVE_RUNTIME_LAYERS_LAYER_ATTENTION_H_
#define BLOCKSERVE_RUNTIME_LAYERS_LAYER_ATTENTION_H_

#include "kernels/api/tensor_view.h"

namespace blockserve {

// One layer's attention over the rows of a pass.
struct LayerAttentionArgs {
  int layer = 0;
  // > 0: a position sees only those less than this far before it.
  int window = 0;
  float scale = 1.0f;
  TensorView bias;  // float [num_heads, max_length, max_length], or empty;
                    // local attention only
  TensorView qkv;   // T [rows, num_heads, 3, head_dim], may be changed
  // Only the rows of output_rows() are wanted.
  bool outputs_only = false;
  TensorView output;  // T [rows or num_outputs, num_heads, head_dim]
};

// Set up by its owner before each pass of a trunk.
class LayerAttention {
 public:
  virtual ~LayerAttention() = default;

  // Rows of the pass whose outputs are wanted, ascending. int32 [num_outputs]
  virtual TensorView output_rows() const = 0;

  // Keeps keys and values of all rows for what follows, then attends.
  virtual void Attend(const LayerAttentionArgs& args) = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_LAYERS_LAYER_ATTENTION_H_
