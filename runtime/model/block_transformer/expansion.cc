#include "runtime/model/block_transformer/expansion.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/base/status_macros.h"

namespace blockserve {

Expansion::Expansion(const ModelConfig& config, Ops& ops)
    : ops_(ops),
      has_layer_(config.has_expansion_layer),
      ratio_(config.expansion_ratio),
      token_dim_(config.token_decoder.hidden_dim) {}

absl::StatusOr<std::unique_ptr<Expansion>> Expansion::Load(
    const ModelConfig& config, int max_rows, WeightLoader& loader,
    ScratchAllocator& scratch) {
  Ops& ops = loader.ops();
  std::unique_ptr<Expansion> expansion(new Expansion(config, ops));
  const int64_t block_dim = config.block_decoder.hidden_dim;
  const int64_t token_dim = expansion->token_dim_;
  const int64_t ratio = expansion->ratio_;
  // Written as [rows, ratio * dim] and, by a prefix, run as [rows * ratio,
  // dim]: both may be padded.
  const int64_t padded_rows = std::max(ops.PaddedRows(max_rows) * ratio,
                                       ops.PaddedRows(max_rows * ratio));
  ASSIGN_OR_RETURN(expansion->expanded_,
                   scratch.Allocate(padded_rows * token_dim * sizeof(float)));
  if (expansion->has_layer_) {
    ASSIGN_OR_RETURN(expansion->layer_,
                     loader.LoadDense("token_decoder.expansion_layer",
                                      ratio * token_dim, block_dim));
    return expansion;
  }

  if (block_dim != token_dim) {
    return absl::InvalidArgumentError(absl::StrCat(
        "token_decoder.expansion_method: without an expansion layer the hidden "
        "sizes must agree, got ",
        block_dim, " and ", token_dim));
  }
  ASSIGN_OR_RETURN(expansion->contexts_,
                   scratch.Allocate(max_rows * token_dim * sizeof(float)));
  std::vector<int32_t> repetition(max_rows * ratio);
  for (size_t i = 0; i < repetition.size(); ++i) {
    repetition[i] = static_cast<int32_t>(i / ratio);
  }
  ASSIGN_OR_RETURN(expansion->repetition_, scratch.Upload(repetition));
  return expansion;
}

TensorView Expansion::Expand(const TensorView& contexts) {
  const int64_t rows = contexts.dim(0);
  const TensorView expanded =
      expanded_.View(DType::kFloat32, {rows, ratio_, token_dim_});
  if (has_layer_) {
    layer_.Apply(ops_, contexts,
                 expanded.Reshape({rows, int64_t{ratio_} * token_dim_}));
  } else {
    Repeat(contexts, expanded);
  }
  return expanded;
}

void Expansion::Repeat(const TensorView& contexts, const TensorView& expanded) {
  const int64_t rows = contexts.dim(0);
  const TensorView floats = contexts_.View(DType::kFloat32, {rows, token_dim_});
  ops_.Cast(contexts, floats);
  ops_.GatherRows(floats, repetition_.View(DType::kInt32, {rows * ratio_}),
                  expanded.Reshape({rows * ratio_, token_dim_}));
}

}  // namespace blockserve
