#include "runtime/layers/local_layer_attention.h"

#include <glog/logging.h>

#include <utility>

#include "runtime/base/status_macros.h"

namespace blockserve {

LocalLayerAttention::LocalLayerAttention(const LocalAttentionShape& shape,
                                         RotaryTable rotary,
                                         Activations& activations, Ops& ops)
    : shape_(shape),
      rotary_(std::move(rotary)),
      activations_(activations),
      ops_(ops) {}

absl::StatusOr<std::unique_ptr<LocalLayerAttention>>
LocalLayerAttention::Create(const LocalAttentionShape& shape,
                            absl::Span<const int32_t> positions,
                            RotaryTable rotary, Activations& activations,
                            ScratchAllocator& scratch) {
  CHECK_EQ(static_cast<int>(positions.size()), shape.max_length);
  Ops& ops = scratch.ops();
  std::unique_ptr<LocalLayerAttention> attention(
      new LocalLayerAttention(shape, std::move(rotary), activations, ops));
  const size_t layer_bytes = ops.LocalKvBytes(shape.max_rows, shape.num_heads,
                                              shape.head_dim, shape.max_length);
  for (int layer = 0; layer < shape.num_layers; ++layer) {
    ASSIGN_OR_RETURN(Buffer cache, scratch.Allocate(layer_bytes));
    attention->caches_.push_back(std::move(cache));
  }
  ASSIGN_OR_RETURN(attention->positions_, scratch.Upload(positions));
  std::vector<int32_t> last_rows(static_cast<size_t>(shape.max_rows));
  for (int row = 0; row < shape.max_rows; ++row) {
    last_rows[row] = (row + 1) * shape.num_start_queries - 1;
  }
  ASSIGN_OR_RETURN(attention->last_start_rows_, scratch.Upload(last_rows));
  std::vector<int32_t> start_positions;
  for (int row = 0; row < shape.max_rows; ++row) {
    start_positions.insert(start_positions.end(), positions.begin(),
                           positions.begin() + shape.num_start_queries);
  }
  ASSIGN_OR_RETURN(attention->start_positions_,
                   scratch.Upload(start_positions));
  return attention;
}

void LocalLayerAttention::BeginBlock(int rows, const TensorView& key_mask) {
  rows_ = rows;
  num_queries_ = 0;
  past_length_ = 0;
  key_mask_ = key_mask;
}

void LocalLayerAttention::BeginPass(int num_queries) {
  past_length_ += num_queries_;
  num_queries_ = num_queries;
}

TensorView LocalLayerAttention::position_ids() const {
  if (past_length_ == 0) {
    return start_positions_.View(DType::kInt32, {rows_ * num_queries_});
  }
  return positions_.View(DType::kInt32, {shape_.max_length})
      .Rows(past_length_, past_length_ + 1);
}

TensorView LocalLayerAttention::output_rows() const {
  CHECK_EQ(num_queries_, shape_.num_start_queries);
  return last_start_rows_.View(DType::kInt32, {rows_});
}

void LocalLayerAttention::Attend(const LayerAttentionArgs& args) {
  const int64_t positions = int64_t{rows_} * num_queries_;
  const int64_t dim = int64_t{shape_.num_heads} * shape_.head_dim;
  TensorView output = args.output;
  if (args.outputs_only) {
    output = activations_.gathered(positions, dim)
                 .Reshape({positions, shape_.num_heads, shape_.head_dim});
  }
  ops_.LocalAttention(
      {.qkv = args.qkv,
       .num_queries = num_queries_,
       .past_length = past_length_,
       .max_length = shape_.max_length,
       .window = args.window,
       .scale = args.scale,
       .rotary = rotary_.view(),
       .positions = positions_.View(DType::kInt32, {shape_.max_length})
                        .Rows(past_length_, past_length_ + num_queries_),
       .key_mask = key_mask_,
       .bias = args.bias,
       .cache = caches_[args.layer].data(),
       .output = output});
  if (args.outputs_only) {
    ops_.GatherRows(output.Reshape({positions, dim}), output_rows(),
                    args.output.Reshape({rows_, dim}));
  }
}

}  // namespace blockserve
