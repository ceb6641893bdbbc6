// Attention over the paged KV cache: block decoder and vanilla model.
#ifndef BLOCKSERVE_RUNTIME_LAYERS_PAGED_LAYER_ATTENTION_H_
#define BLOCKSERVE_RUNTIME_LAYERS_PAGED_LAYER_ATTENTION_H_

#include <utility>

#include "kernels/api/ops.h"
#include "kernels/api/tensor_view.h"
#include "runtime/layers/activations.h"
#include "runtime/layers/kv_cache.h"
#include "runtime/layers/layer_attention.h"
#include "runtime/layers/rotary_table.h"

namespace blockserve {

// Which keys each row of a set sees; int32, see PagedAttentionArgs.
struct PagedRows {
  TensorView query_offsets;     // [num_sequences + 1]
  TensorView key_begin;         // [rows]
  TensorView window_key_begin;  // [rows], of layers with a window
  TensorView key_end;           // [rows]
};

// What one pass does with the cache.
struct PagedPass {
  TensorView positions;    // int32 [rows]
  TensorView slots;        // int32 [rows]
  TensorView page_table;   // int32 [num_sequences, max_pages]
  PagedRows rows;          // of all rows
  TensorView output_rows;  // int32 [num_outputs]
  PagedRows outputs;       // of output_rows
};

// Owns the cache; borrows the activations and the Ops.
class PagedLayerAttention final : public LayerAttention {
 public:
  PagedLayerAttention(PagedKvCache cache, RotaryTable rotary,
                      Activations& activations, Ops& ops)
      : cache_(std::move(cache)),
        rotary_(std::move(rotary)),
        activations_(activations),
        ops_(ops) {}

  void BeginPass(const PagedPass& pass) { pass_ = pass; }

  TensorView output_rows() const override { return pass_.output_rows; }
  void Attend(const LayerAttentionArgs& args) override;

 private:
  PagedKvCache cache_;
  RotaryTable rotary_;
  Activations& activations_;
  Ops& ops_;
  PagedPass pass_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_LAYERS_PAGED_LAYER_ATTENTION_H_
