// RoBERTa's layers: post-norm, every token of a block sees every other
// (FORMAT.md 5.3).
#ifndef BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_EMBEDDER_ROBERTA_TRUNK_H_
#define BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_EMBEDDER_ROBERTA_TRUNK_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/api/buffer.h"
#include "runtime/config/model_config.h"
#include "runtime/layers/dense.h"
#include "runtime/layers/embedding_table.h"
#include "runtime/layers/norm.h"
#include "runtime/layers/scratch_allocator.h"
#include "runtime/layers/weight_loader.h"
#include "runtime/model/trunk/trunk.h"

namespace blockserve {

// The tokens of one run; all arrays on the device.
struct RobertaInput {
  TensorView ids;        // int32 [num_blocks * length]
  TensorView positions;  // int32, the same: rows of the position table
  TensorView key_mask;   // uint8 [num_blocks, length]
};

struct RobertaLayer {
  Dense qkv;  // rows [num_heads, 3, head_dim]
  Dense attention_output;
  LayerNormWeights attention_norm;
  Dense ffn_up;
  Dense ffn_down;
  LayerNormWeights ffn_norm;
};

// Immutable after loading.
class RobertaTrunk {
 public:
  // Tensors `prefix`embeddings.word_embeddings.weight and so on.
  static absl::StatusOr<std::unique_ptr<RobertaTrunk>> Load(
      const TrunkConfig& config, const std::string& prefix,
      const TrunkContext& context, WeightLoader& loader,
      ScratchAllocator& scratch);

  // Returns a vector for each token, masked ones too.
  //   residual: float [num_blocks * length, hidden_dim], for its own use;
  //             holds the same vectors in fp32 afterwards
  //   result:   T [num_blocks * length, hidden_dim], good until another trunk
  //             runs
  TensorView Run(const RobertaInput& input, const TensorView& residual) const;

 private:
  RobertaTrunk(const TrunkConfig& config, const TrunkContext& context)
      : config_(config), context_(context) {}

  void RunLayer(const RobertaLayer& layer, const TensorView& key_mask,
                const TensorView& residual, const TensorView& normed) const;

  const TrunkConfig config_;
  const TrunkContext context_;
  EmbeddingTable words_;
  EmbeddingTable positions_;
  EmbeddingTable token_types_;  // [1, hidden_dim]
  LayerNormWeights embedding_norm_;
  std::vector<RobertaLayer> layers_;
  Buffer zero_id_;  // int32 [1]: the one token type
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_EMBEDDER_ROBERTA_TRUNK_H_
