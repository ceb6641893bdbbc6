#include "runtime/model/block_transformer/embedder/roberta_trunk.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

absl::StatusOr<RobertaLayer> LoadLayer(const TrunkConfig& config,
                                       const std::string& prefix,
                                       WeightLoader& loader) {
  const int64_t dim = config.hidden_dim;
  const int64_t attention_dim = int64_t{config.num_heads} * config.head_dim;
  const std::string self = absl::StrCat(prefix, "attention.self.");
  const std::string attention_output =
      absl::StrCat(prefix, "attention.output.");
  RobertaLayer layer;
  ASSIGN_OR_RETURN(
      layer.qkv,
      loader.LoadInterleavedHeads(
          {absl::StrCat(self, "query"), absl::StrCat(self, "key"),
           absl::StrCat(self, "value")},
          /*has_bias=*/true, config.num_heads, config.head_dim, dim));
  ASSIGN_OR_RETURN(layer.attention_output,
                   loader.LoadDense(absl::StrCat(attention_output, "dense"),
                                    dim, attention_dim));
  ASSIGN_OR_RETURN(
      layer.attention_norm,
      loader.LoadLayerNorm(absl::StrCat(attention_output, "LayerNorm"), dim,
                           config.norm_eps));
  ASSIGN_OR_RETURN(layer.ffn_up,
                   loader.LoadDense(absl::StrCat(prefix, "intermediate.dense"),
                                    config.ffn_dim, dim));
  ASSIGN_OR_RETURN(layer.ffn_down,
                   loader.LoadDense(absl::StrCat(prefix, "output.dense"), dim,
                                    config.ffn_dim));
  ASSIGN_OR_RETURN(layer.ffn_norm, loader.LoadLayerNorm(
                                       absl::StrCat(prefix, "output.LayerNorm"),
                                       dim, config.norm_eps));
  return layer;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RobertaTrunk>> RobertaTrunk::Load(
    const TrunkConfig& config, const std::string& prefix,
    const TrunkContext& context, WeightLoader& loader,
    ScratchAllocator& scratch) {
  const int64_t dim = config.hidden_dim;
  const std::string embeddings = absl::StrCat(prefix, "embeddings.");
  std::unique_ptr<RobertaTrunk> trunk(new RobertaTrunk(config, context));
  ASSIGN_OR_RETURN(
      trunk->words_,
      loader.LoadTable(absl::StrCat(embeddings, "word_embeddings.weight"),
                       config.vocab_size, dim));
  ASSIGN_OR_RETURN(
      trunk->positions_,
      loader.LoadTable(absl::StrCat(embeddings, "position_embeddings.weight"),
                       config.max_positions, dim));
  ASSIGN_OR_RETURN(
      trunk->token_types_,
      loader.LoadTable(absl::StrCat(embeddings, "token_type_embeddings.weight"),
                       1, dim));
  ASSIGN_OR_RETURN(trunk->embedding_norm_,
                   loader.LoadLayerNorm(absl::StrCat(embeddings, "LayerNorm"),
                                        dim, config.norm_eps));
  for (int l = 0; l < config.num_layers; ++l) {
    ASSIGN_OR_RETURN(
        RobertaLayer layer,
        LoadLayer(config, absl::StrCat(prefix, "encoder.layer.", l, "."),
                  loader));
    trunk->layers_.push_back(std::move(layer));
  }
  ASSIGN_OR_RETURN(trunk->zero_id_, scratch.Upload(std::vector<int32_t>{0}));
  return trunk;
}

TensorView RobertaTrunk::Run(const RobertaInput& input,
                             const TensorView& residual) const {
  Ops& ops = context_.ops;
  const TensorView normed =
      context_.activations.normed(residual.dim(0), config_.hidden_dim);
  words_.Lookup(ops, input.ids, residual);
  token_types_.AddTo(ops, zero_id_.View(DType::kInt32, {1}), residual,
                     /*ids_stride=*/0);
  positions_.AddTo(ops, input.positions, residual);
  embedding_norm_.Apply(ops, residual, normed, residual);
  for (const RobertaLayer& layer : layers_) {
    RunLayer(layer, input.key_mask, residual, normed);
  }
  return normed;
}

// `residual` and `normed` hold the same vectors, in float and in T, before and
// after the layer.
void RobertaTrunk::RunLayer(const RobertaLayer& layer,
                            const TensorView& key_mask,
                            const TensorView& residual,
                            const TensorView& normed) const {
  Ops& ops = context_.ops;
  const Activations& activations = context_.activations;
  const int64_t rows = residual.dim(0);
  const int64_t num_heads = config_.num_heads;
  const int64_t head_dim = config_.head_dim;
  const int length = static_cast<int>(key_mask.dim(1));

  const TensorView qkv = activations.qkv(rows, 3 * num_heads * head_dim);
  layer.qkv.Apply(ops, normed, qkv);
  const TensorView attended = activations.attention(rows, num_heads * head_dim);
  LocalAttentionArgs attention;
  attention.qkv = qkv.Reshape({rows, num_heads, 3, head_dim});
  attention.num_queries = length;
  attention.max_length = length;
  attention.causal = false;
  attention.scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  attention.key_mask = key_mask;
  attention.output = attended.Reshape({rows, num_heads, head_dim});
  ops.LocalAttention(attention);
  layer.attention_output.AddTo(ops, attended, residual);
  layer.attention_norm.Apply(ops, residual, normed, residual);

  const TensorView inner = activations.ffn(rows, config_.ffn_dim);
  layer.ffn_up.Apply(ops, normed, inner, Activation::kGelu);
  layer.ffn_down.AddTo(ops, inner, residual);
  layer.ffn_norm.Apply(ops, residual, normed, residual);
}

}  // namespace blockserve
