// GPT-NeoX's names for the parameters of a PreNormTrunk (FORMAT.md 4.2).
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/status_macros.h"
#include "runtime/model/trunk/pre_norm_trunk.h"

namespace blockserve {
namespace {

absl::StatusOr<PreNormLayer> LoadLayer(const TrunkConfig& config,
                                       const std::string& prefix,
                                       WeightLoader& loader) {
  const int64_t dim = config.hidden_dim;
  const int64_t attention_dim = int64_t{config.num_heads} * config.head_dim;
  PreNormLayer layer;
  ASSIGN_OR_RETURN(layer.attention_norm,
                   loader.LoadLayerNorm(absl::StrCat(prefix, "input_layernorm"),
                                        dim, config.norm_eps));
  ASSIGN_OR_RETURN(
      layer.ffn_norm,
      loader.LoadLayerNorm(absl::StrCat(prefix, "post_attention_layernorm"),
                           dim, config.norm_eps));
  ASSIGN_OR_RETURN(
      layer.qkv,
      loader.LoadDense(absl::StrCat(prefix, "attention.query_key_value"),
                       3 * attention_dim, dim));
  ASSIGN_OR_RETURN(layer.attention_output,
                   loader.LoadDense(absl::StrCat(prefix, "attention.dense"),
                                    dim, attention_dim));
  ASSIGN_OR_RETURN(layer.ffn_up,
                   loader.LoadDense(absl::StrCat(prefix, "mlp.dense_h_to_4h"),
                                    config.ffn_dim, dim));
  ASSIGN_OR_RETURN(layer.ffn_down,
                   loader.LoadDense(absl::StrCat(prefix, "mlp.dense_4h_to_h"),
                                    dim, config.ffn_dim));
  return layer;
}

}  // namespace

absl::StatusOr<PreNormWeights> LoadGptNeoXWeights(const TrunkConfig& config,
                                                  const std::string& prefix,
                                                  WeightLoader& loader) {
  PreNormWeights weights;
  weights.num_heads = config.num_heads;
  weights.head_dim = config.head_dim;
  weights.scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim));
  weights.activation = Activation::kGelu;
  weights.parallel_residual = config.parallel_residual;
  for (int l = 0; l < config.num_layers; ++l) {
    ASSIGN_OR_RETURN(
        PreNormLayer layer,
        LoadLayer(config, absl::StrCat(prefix, "layers.", l, "."), loader));
    weights.layers.push_back(std::move(layer));
  }
  ASSIGN_OR_RETURN(
      weights.final_norm,
      loader.LoadLayerNorm(absl::StrCat(prefix, "final_layer_norm"),
                           config.hidden_dim, config.norm_eps));
  return weights;
}

}  // namespace blockserve
