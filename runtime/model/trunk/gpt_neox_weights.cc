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
                                       const RankGroup& group,
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
  const ShardRange heads = group.HeadsOf(config.num_heads);
  if (heads.size() > 0) {
    const int64_t head_dim = config.head_dim;
    ASSIGN_OR_RETURN(
        layer.qkv, loader.LoadColumnParallel(
                       absl::StrCat(prefix, "attention.query_key_value"),
                       3 * attention_dim, dim,
                       {heads.begin * 3 * head_dim, heads.end * 3 * head_dim}));
    ASSIGN_OR_RETURN(
        layer.attention_output,
        loader.LoadRowParallel(absl::StrCat(prefix, "attention.dense"), dim,
                               attention_dim,
                               {heads.begin * head_dim, heads.end * head_dim},
                               /*has_bias=*/group.leads()));
  } else {
    for (const char* name : {"attention.query_key_value", "attention.dense"}) {
      loader.MarkDenseUnused(absl::StrCat(prefix, name));
    }
  }
  const ShardRange columns = group.FfnColumnsOf(config.ffn_dim);
  ASSIGN_OR_RETURN(layer.ffn_up,
                   loader.LoadColumnParallel(
                       absl::StrCat(prefix, "mlp.dense_h_to_4h"),
                       config.ffn_dim, dim, {columns.begin, columns.end}));
  ASSIGN_OR_RETURN(
      layer.ffn_down,
      loader.LoadRowParallel(absl::StrCat(prefix, "mlp.dense_4h_to_h"), dim,
                             config.ffn_dim, {columns.begin, columns.end},
                             /*has_bias=*/group.leads()));
  return layer;
}

}  // namespace

absl::StatusOr<PreNormWeights> LoadGptNeoXWeights(const TrunkConfig& config,
                                                  const std::string& prefix,
                                                  const RankGroup& group,
                                                  WeightLoader& loader) {
  PreNormWeights weights;
  weights.num_heads = static_cast<int>(group.HeadsOf(config.num_heads).size());
  weights.head_dim = config.head_dim;
  weights.scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim));
  weights.activation = Activation::kGelu;
  weights.parallel_residual = config.parallel_residual;
  for (int l = 0; l < config.num_layers; ++l) {
    ASSIGN_OR_RETURN(PreNormLayer layer,
                     LoadLayer(config, absl::StrCat(prefix, "layers.", l, "."),
                               group, loader));
    weights.layers.push_back(std::move(layer));
  }
  ASSIGN_OR_RETURN(
      weights.final_norm,
      loader.LoadLayerNorm(absl::StrCat(prefix, "final_layer_norm"),
                           config.hidden_dim, config.norm_eps));
  return weights;
}

}  // namespace blockserve
