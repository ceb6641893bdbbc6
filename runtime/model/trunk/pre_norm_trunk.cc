#include "runtime/model/trunk/pre_norm_trunk.h"

#include <glog/logging.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

// Of a trunk that is not sharded.
constexpr RankGroup kAlone;

absl::StatusOr<PreNormWeights> LoadWeights(const TrunkConfig& config,
                                           const std::string& prefix,
                                           const RankGroup& group,
                                           WeightLoader& loader) {
  switch (config.kind) {
    case TrunkKind::kGptNeoX:
      return LoadGptNeoXWeights(config, absl::StrCat(prefix, "gpt_neox."),
                                group, loader);
    case TrunkKind::kGptNeo:
      return LoadGptNeoWeights(config, absl::StrCat(prefix, "transformer."),
                               group, loader);
    default:
      return absl::UnimplementedError(absl::StrCat(
          prefix, "cls: expected gpt-neo-x or gpt-neo for this part"));
  }
}

}  // namespace

PreNormTrunk::PreNormTrunk(PreNormWeights weights, std::string name,
                           const TrunkContext& context, const RankGroup& group,
                           Buffer zeros)
    : weights_(std::move(weights)),
      name_(std::move(name)),
      context_(context),
      group_(group),
      zeros_(std::move(zeros)) {}

void PreNormTrunk::Run(const TrunkPass& pass) const {
  TensorView x = pass.residual;
  if (weights_.positions.has_value()) {
    weights_.positions->AddTo(context_.ops, pass.position_ids, x,
                              pass.position_ids_stride);
  }
  for (size_t l = 0; l < weights_.layers.size(); ++l) {
    context_.observer.ShowLayerInput(name_, static_cast<int>(l), x);
    x = RunLayer(static_cast<int>(l), x, pass);
  }
  if (x.dim(0) == 0) return;
  weights_.final_norm.Apply(context_.ops, x, pass.output, pass.float_output);
}

TensorView PreNormTrunk::RunLayer(int l, const TensorView& x,
                                  const TrunkPass& pass) const {
  const PreNormLayer& layer = weights_.layers[l];
  Ops& ops = context_.ops;
  const Activations& activations = context_.activations;
  const int64_t num_heads = weights_.num_heads;
  const int64_t head_dim = weights_.head_dim;
  const int64_t rows = x.dim(0);
  const int64_t dim = x.dim(1);
  const bool is_last = l + 1 == static_cast<int>(weights_.layers.size());
  const bool outputs_only = pass.outputs_only && is_last;
  // Of a parallel residual both norms read the layer's input; with fewer rows
  // going on the second one has less to do by itself.
  const bool both_norms = weights_.parallel_residual && !outputs_only;

  const TensorView normed = activations.normed(rows, dim);
  if (both_norms) {
    ops.DualLayerNorm({.input = x,
                       .gamma_a = layer.attention_norm.gamma_view(),
                       .beta_a = layer.attention_norm.beta_view(),
                       .gamma_b = layer.ffn_norm.gamma_view(),
                       .beta_b = layer.ffn_norm.beta_view(),
                       .eps = layer.attention_norm.eps,
                       .output_a = normed,
                       .output_b = activations.normed_ffn(rows, dim)});
  } else {
    layer.attention_norm.Apply(ops, x, normed);
  }
  const TensorView y = ContinuingRows(x, pass, outputs_only);
  const int64_t y_rows = y.dim(0);
  TensorView attended;
  if (num_heads > 0) {
    const TensorView qkv = activations.qkv(rows, 3 * num_heads * head_dim);
    layer.qkv.Apply(ops, normed, qkv);
    attended = activations.attention(y_rows, num_heads * head_dim);
    pass.attention->Attend(
        {.layer = l,
         .window = layer.window,
         .scale = weights_.scale,
         .bias = TensorView(),
         .qkv = qkv.Reshape({rows, num_heads, 3, head_dim}),
         .outputs_only = outputs_only,
         .output = attended.Reshape({y_rows, num_heads, head_dim})});
  }
  if (y_rows == 0) return y;

  const TensorView normed_ffn = activations.normed_ffn(y_rows, dim);
  if (weights_.parallel_residual) {
    if (!both_norms) layer.ffn_norm.Apply(ops, y, normed_ffn);
    AddAttention(layer, attended, y);
    AddFfn(layer, normed_ffn, y, /*begins_share=*/num_heads == 0);
  } else {
    AddAttention(layer, attended, y);
    SumShares(y, /*deals=*/false);
    layer.ffn_norm.Apply(ops, y, normed_ffn);
    AddFfn(layer, normed_ffn, y, /*begins_share=*/true);
  }
  return SumShares(y, is_last && pass.deal_outputs);
}

void PreNormTrunk::AddAttention(const PreNormLayer& layer,
                                const TensorView& attended,
                                const TensorView& y) const {
  if (weights_.num_heads > 0) {
    AddShare(layer.attention_output, attended, y, /*begins_share=*/true);
  } else if (!group_.leads() && !weights_.parallel_residual) {
    context_.ops.Cast(zeros_.View(DType::kFloat32, {y.dim(0), y.dim(1)}), y);
  }
}

void PreNormTrunk::AddFfn(const PreNormLayer& layer,
                          const TensorView& normed_ffn, const TensorView& y,
                          bool begins_share) const {
  const TensorView inner =
      context_.activations.ffn(y.dim(0), layer.ffn_up.out_dim());
  layer.ffn_up.Apply(context_.ops, normed_ffn, inner, weights_.activation);
  AddShare(layer.ffn_down, inner, y, begins_share);
}

void PreNormTrunk::AddShare(const Dense& dense, const TensorView& input,
                            const TensorView& y, bool begins_share) const {
  if (begins_share && !group_.leads()) {
    dense.Apply(context_.ops, input, y);
  } else {
    dense.AddTo(context_.ops, input, y);
  }
}

TensorView PreNormTrunk::SumShares(const TensorView& y, bool deals) const {
  if (group_.is_alone()) return y;
  CHECK(group_.communicator != nullptr) << "a step of a group not formed";
  if (!deals) {
    group_.communicator->AllReduce(y);
    return y;
  }
  group_.communicator->ReduceScatter(y);
  const ShardRange own = group_.RowsOf(y.dim(0));
  return y.Rows(own.begin, own.end);
}

TensorView PreNormTrunk::ContinuingRows(const TensorView& x,
                                        const TrunkPass& pass,
                                        bool outputs_only) const {
  if (!outputs_only) return x;
  const TensorView rows = pass.attention->output_rows();
  const TensorView y =
      context_.activations.gathered_residual(rows.dim(0), x.dim(1));
  context_.ops.GatherRows(x, rows, y);
  return y;
}

absl::StatusOr<std::unique_ptr<Trunk>> LoadPreNormTrunk(
    const TrunkConfig& config, const std::string& prefix,
    const TrunkContext& context, WeightLoader& loader) {
  ASSIGN_OR_RETURN(PreNormWeights weights,
                   LoadWeights(config, prefix, kAlone, loader));
  return std::make_unique<PreNormTrunk>(std::move(weights), prefix, context,
                                        kAlone, Buffer());
}

absl::StatusOr<std::unique_ptr<Trunk>> LoadShardedPreNormTrunk(
    const TrunkConfig& config, const std::string& prefix,
    const TrunkContext& context, const RankGroup& group, int64_t max_rows,
    WeightLoader& loader, ScratchAllocator& scratch) {
  if (config.ffn_dim < group.size) {
    return absl::InvalidArgumentError(absl::StrCat(
        prefix, ": expected at most ", config.ffn_dim,
        " ranks, one for each column of the FFN, got ", group.size));
  }
  ASSIGN_OR_RETURN(PreNormWeights weights,
                   LoadWeights(config, prefix, group, loader));
  Buffer zeros;
  if (weights.num_heads == 0 && !weights.parallel_residual) {
    ASSIGN_OR_RETURN(zeros,
                     scratch.Allocate(static_cast<size_t>(max_rows) *
                                      config.hidden_dim * sizeof(float)));
  }
  return std::make_unique<PreNormTrunk>(std::move(weights), prefix, context,
                                        group, std::move(zeros));
}

}  // namespace blockserve
