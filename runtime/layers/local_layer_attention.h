// Attention of a block's positions over each other: the token decoder's.
#ifndef BLOCKSERVE_RUNTIME_LAYERS_LOCAL_LAYER_ATTENTION_H_
#define BLOCKSERVE_RUNTIME_LAYERS_LOCAL_LAYER_ATTENTION_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/api/buffer.h"
#include "kernels/api/ops.h"
#include "kernels/api/tensor_view.h"
#include "runtime/layers/activations.h"
#include "runtime/layers/layer_attention.h"
#include "runtime/layers/rotary_table.h"
#include "runtime/layers/scratch_allocator.h"

namespace blockserve {

struct LocalAttentionShape {
  int num_layers = 0;
  int num_heads = 0;
  int head_dim = 0;
  int max_rows = 0;           // sequences
  int max_length = 0;         // positions of a block
  int num_start_queries = 0;  // positions of the first pass
};

// Owns one dense cache per layer, overwritten block by block; borrows the
// activations and the Ops. Only the last position of each pass is an output.
class LocalLayerAttention final : public LayerAttention {
 public:
  // `positions`: rotary position of each of a block's max_length positions.
  static absl::StatusOr<std::unique_ptr<LocalLayerAttention>> Create(
      const LocalAttentionShape& shape, absl::Span<const int32_t> positions,
      RotaryTable rotary, Activations& activations, ScratchAllocator& scratch);

  // Starts a block of `rows` sequences: nothing is cached.
  //   key_mask: uint8 [rows, max_length], or empty: all visible
  void BeginBlock(int rows, const TensorView& key_mask);
  // The next pass has `num_queries` new positions per row: the start queries
  // first, then one at a time.
  void BeginPass(int num_queries);

  // The positions of the pass' rows, row i's at i * position_ids_stride().
  // int32; as `positions` of Create
  TensorView position_ids() const;
  int64_t position_ids_stride() const { return past_length_ == 0 ? 1 : 0; }

  TensorView output_rows() const override;
  void Attend(const LayerAttentionArgs& args) override;

 private:
  LocalLayerAttention(const LocalAttentionShape& shape, RotaryTable rotary,
                      Activations& activations, Ops& ops);

  const LocalAttentionShape shape_;
  const RotaryTable rotary_;
  Activations& activations_;
  Ops& ops_;
  std::vector<Buffer> caches_;  // one per layer
  Buffer positions_;            // int32 [max_length]
  Buffer start_positions_;      // int32 [max_rows * num_start_queries]
  Buffer last_start_rows_;      // int32 [max_rows]

  int rows_ = 0;
  int num_queries_ = 0;
  int past_length_ = 0;
  TensorView key_mask_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_LAYERS_LOCAL_LAYER_ATTENTION_H_
