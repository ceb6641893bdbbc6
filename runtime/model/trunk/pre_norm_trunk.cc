#include "runtime/model/trunk/pre_norm_trunk.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/status_macros.h"

namespace blockserve {

PreNormTrunk::PreNormTrunk(PreNormWeights weights, std::string name,
                           const TrunkContext& context)
    : weights_(std::move(weights)), name_(std::move(name)), context_(context) {}

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
  const bool outputs_only =
      pass.outputs_only && l + 1 == static_cast<int>(weights_.layers.size());
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
  const TensorView qkv = activations.qkv(rows, 3 * num_heads * head_dim);
  layer.qkv.Apply(ops, normed, qkv);

  const TensorView y = ContinuingRows(x, pass, outputs_only);
  const int64_t y_rows = y.dim(0);
  const TensorView attended =
      activations.attention(y_rows, num_heads * head_dim);
  pass.attention->Attend(
      {.layer = l,
       .window = layer.window,
       .scale = weights_.scale,
       .bias = TensorView(),
       .qkv = qkv.Reshape({rows, num_heads, 3, head_dim}),
       .outputs_only = outputs_only,
       .output = attended.Reshape({y_rows, num_heads, head_dim})});
  if (y_rows == 0) return y;

  const TensorView normed_ffn = activations.normed_ffn(y_rows, dim);
  if (weights_.parallel_residual && !both_norms) {
    layer.ffn_norm.Apply(ops, y, normed_ffn);
  }
  layer.attention_output.AddTo(ops, attended, y);
  if (!weights_.parallel_residual) layer.ffn_norm.Apply(ops, y, normed_ffn);
  const TensorView inner = activations.ffn(y_rows, layer.ffn_up.out_dim());
  layer.ffn_up.Apply(ops, normed_ffn, inner, weights_.activation);
  layer.ffn_down.AddTo(ops, inner, y);
  return y;
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
  PreNormWeights weights;
  switch (config.kind) {
    case TrunkKind::kGptNeoX: {
      ASSIGN_OR_RETURN(
          weights, LoadGptNeoXWeights(config, absl::StrCat(prefix, "gpt_neox."),
                                      loader));
      break;
    }
    case TrunkKind::kGptNeo: {
      ASSIGN_OR_RETURN(
          weights, LoadGptNeoWeights(
                       config, absl::StrCat(prefix, "transformer."), loader));
      break;
    }
    default:
      return absl::UnimplementedError(absl::StrCat(
          prefix, "cls: expected gpt-neo-x or gpt-neo for this part"));
  }
  return std::make_unique<PreNormTrunk>(std::move(weights), prefix, context);
}

}  // namespace blockserve
