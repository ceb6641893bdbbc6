// GPT-Neo's names for the parameters of a PreNormTrunk (FORMAT.md 4.4).
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
  ASSIGN_OR_RETURN(
      layer.attention_norm,
      loader.LoadLayerNorm(absl::StrCat(prefix, "ln_1"), dim, config.norm_eps));
  ASSIGN_OR_RETURN(
      layer.ffn_norm,
      loader.LoadLayerNorm(absl::StrCat(prefix, "ln_2"), dim, config.norm_eps));
  const std::string attention = absl::StrCat(prefix, "attn.attention.");
  const ShardRange heads = group.HeadsOf(config.num_heads);
  const std::vector<std::string> inputs = {absl::StrCat(attention, "q_proj"),
                                           absl::StrCat(attention, "k_proj"),
                                           absl::StrCat(attention, "v_proj")};
  const std::string output = absl::StrCat(attention, "out_proj");
  if (heads.size() > 0) {
    const int64_t head_dim = config.head_dim;
    ASSIGN_OR_RETURN(
        layer.qkv, loader.LoadInterleavedHeads(inputs, /*has_bias=*/false,
                                               config.num_heads, head_dim, dim,
                                               {heads.begin, heads.end}));
    ASSIGN_OR_RETURN(
        layer.attention_output,
        loader.LoadRowParallel(output, dim, attention_dim,
                               {heads.begin * head_dim, heads.end * head_dim},
                               /*has_bias=*/group.leads()));
  } else {
    for (const std::string& name : inputs) loader.MarkDenseUnused(name);
    loader.MarkDenseUnused(output);
  }
  const ShardRange columns = group.FfnColumnsOf(config.ffn_dim);
  ASSIGN_OR_RETURN(layer.ffn_up,
                   loader.LoadColumnParallel(absl::StrCat(prefix, "mlp.c_fc"),
                                             config.ffn_dim, dim,
                                             {columns.begin, columns.end}));
  ASSIGN_OR_RETURN(
      layer.ffn_down,
      loader.LoadRowParallel(absl::StrCat(prefix, "mlp.c_proj"), dim,
                             config.ffn_dim, {columns.begin, columns.end},
                             /*has_bias=*/group.leads()));
  return layer;
}

}  // namespace

absl::StatusOr<PreNormWeights> LoadGptNeoWeights(const TrunkConfig& config,
                                                 const std::string& prefix,
                                                 const RankGroup& group,
                                                 WeightLoader& loader) {
  PreNormWeights weights;
  weights.num_heads = static_cast<int>(group.HeadsOf(config.num_heads).size());
  weights.head_dim = config.head_dim;
  weights.scale = 1.0f;  // the scores are not scaled
  weights.activation = Activation::kGeluTanh;
  weights.parallel_residual = false;
  ASSIGN_OR_RETURN(weights.positions,
                   loader.LoadTable(absl::StrCat(prefix, "wpe.weight"),
                                    config.max_positions, config.hidden_dim));
  for (int l = 0; l < config.num_layers; ++l) {
    ASSIGN_OR_RETURN(
        PreNormLayer layer,
        LoadLayer(config, absl::StrCat(prefix, "h.", l, "."), group, loader));
    // Attention types alternate: global, local, global, ...
    layer.window = l % 2 == 1 ? config.window_size : 0;
    weights.layers.push_back(std::move(layer));
  }
  ASSIGN_OR_RETURN(weights.final_norm,
                   loader.LoadLayerNorm(absl::StrCat(prefix, "ln_f"),
                                        config.hidden_dim, config.norm_eps));
  return weights;
}

}  // namespace blockserve
