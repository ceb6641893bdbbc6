// Writes the tokens of a block from its context embedding (arXiv 2406.02657,
// "Token decoder"; FORMAT.md 5.6, 5.7).
#ifndef BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_TOKEN_DECODER_H_
#define BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_TOKEN_DECODER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/api/buffer.h"
#include "kernels/api/ops.h"
#include "kernels/api/tensor_view.h"
#include "runtime/config/model_config.h"
#include "runtime/layers/activations.h"
#include "runtime/layers/embedding_table.h"
#include "runtime/layers/local_layer_attention.h"
#include "runtime/layers/scratch_allocator.h"
#include "runtime/layers/step_metadata.h"
#include "runtime/layers/weight_loader.h"
#include "runtime/model/block_transformer/expansion.h"
#include "runtime/model/block_transformer/strategy/block_positions.h"
#include "runtime/model/block_transformer/strategy/strategy.h"
#include "runtime/model/model.h"
#include "runtime/model/step_tokens.h"
#include "runtime/model/trunk/trunk.h"

namespace blockserve {

// Sees only the current block: nothing is carried from one call to the next.
class TokenDecoder {
 public:
  static absl::StatusOr<std::unique_ptr<TokenDecoder>> Load(
      const ModelConfig& config, const ModelOptions& options,
      const TrunkContext& context, WeightLoader& loader, StepMetadata& metadata,
      ScratchAllocator& scratch);

  static ActivationLimits ActivationLimitsOf(const ModelConfig& config,
                                             const ModelLimits& limits);

  // Takes the masks of forced tokens, before the metadata is uploaded.
  void SetRows(absl::Span<const DecodeRow> rows);

  // Whether any of them hides a token from later ones.
  bool has_hidden_tokens() const { return has_hidden_tokens_; }

  // Writes the first `num_tokens` offsets of `tokens`. Enqueued.
  //   contexts: T [num_rows, block_dim]
  void Decode(const TensorView& contexts, int num_tokens, StepTokens& tokens);

 private:
  TokenDecoder(const ModelConfig& config, const ModelOptions& options,
               const TrunkContext& context, StepMetadata& metadata);

  absl::Status LoadTableAndHead(WeightLoader& loader);
  absl::Status AllocateOutputs(ScratchAllocator& scratch);
  // Runs the trunk over the next inputs of each row. Returns what the last of
  // them gives, T [num_rows, token_dim].
  TensorView RunPass(const TensorView& inputs, int num_rows);

  const ModelConfig config_;
  const TrunkContext context_;
  const int max_rows_;
  const BlockPositions block_;
  StepMetadata& metadata_;
  const StepMetadata::Array key_mask_;  // [max_rows, max_length]
  bool has_hidden_tokens_ = false;      // key_mask is not all ones

  EmbeddingTable table_;
  std::unique_ptr<Matrix> head_;  // [vocab_size, token_dim]
  std::unique_ptr<Expansion> expansion_;
  std::unique_ptr<Strategy> strategy_;
  std::unique_ptr<LocalLayerAttention> attention_;
  Buffer output_;  // T [max_rows, token_dim]

  // With an observer only: outputs of all inputs of a pass.
  Buffer all_outputs_;        // T [max_rows * num_start, token_dim]
  Buffer all_float_outputs_;  // float, the same
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_TOKEN_DECODER_H_
