// GPT-NeoX and GPT-Neo: layer norm, attention and a two-layer FFN, added to a
// residual stream one after the other or in parallel (FORMAT.md 5.1, 5.2).
#ifndef BLOCKSERVE_RUNTIME_MODEL_TRUNK_PRE_NORM_TRUNK_H_
#define BLOCKSERVE_RUNTIME_MODEL_TRUNK_PRE_NORM_TRUNK_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/api/ops.h"
#include "runtime/config/model_config.h"
#include "runtime/layers/dense.h"
#include "runtime/layers/embedding_table.h"
#include "runtime/layers/norm.h"
#include "runtime/layers/weight_loader.h"
#include "runtime/model/trunk/trunk.h"

namespace blockserve {

struct PreNormLayer {
  LayerNormWeights attention_norm;
  LayerNormWeights ffn_norm;
  Dense qkv;  // rows [num_heads, 3, head_dim]
  Dense attention_output;
  Dense ffn_up;
  Dense ffn_down;
  int window = 0;  // 0: all earlier positions are seen
};

struct PreNormWeights {
  int num_heads = 0;
  int head_dim = 0;
  float scale = 1.0f;  // of attention scores
  Activation activation = Activation::kGelu;
  bool parallel_residual = false;
  std::optional<EmbeddingTable> positions;
  std::vector<PreNormLayer> layers;
  LayerNormWeights final_norm;
};

// Tensors `prefix`layers.0.attention.query_key_value.weight and so on.
absl::StatusOr<PreNormWeights> LoadGptNeoXWeights(const TrunkConfig& config,
                                                  const std::string& prefix,
                                                  WeightLoader& loader);
// Tensors `prefix`h.0.attn.attention.q_proj.weight and so on.
absl::StatusOr<PreNormWeights> LoadGptNeoWeights(const TrunkConfig& config,
                                                 const std::string& prefix,
                                                 WeightLoader& loader);

class PreNormTrunk final : public Trunk {
 public:
  // `name` is the prefix of what the observer is shown.
  PreNormTrunk(PreNormWeights weights, std::string name,
               const TrunkContext& context);

  void Run(const TrunkPass& pass) const override;

 private:
  // Returns the residual stream behind layer `l`: `x`, or if only outputs go
  // on, a copy of their rows.
  TensorView RunLayer(int l, const TensorView& x, const TrunkPass& pass) const;
  // The rows of `x` that go on, before the layer has added to them.
  TensorView ContinuingRows(const TensorView& x, const TrunkPass& pass,
                            bool outputs_only) const;

  const PreNormWeights weights_;
  const std::string name_;
  const TrunkContext context_;
};

// A GPT-NeoX or GPT-Neo trunk as `config.kind` says, of the tensors under
// `prefix` ("block_decoder."). UNIMPLEMENTED for another kind.
absl::StatusOr<std::unique_ptr<Trunk>> LoadPreNormTrunk(
    const TrunkConfig& config, const std::string& prefix,
    const TrunkContext& context, WeightLoader& loader);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_TRUNK_PRE_NORM_TRUNK_H_
