#include "runtime/model/block_transformer/strategy/summation_strategy.h"

#include "runtime/base/status_macros.h"
#include "runtime/model/trunk/pre_norm_trunk.h"

namespace blockserve {

absl::StatusOr<std::unique_ptr<Strategy>> SummationStrategy::Load(
    const StrategyContext& context, WeightLoader& loader) {
  const TrunkConfig& config = context.config.token_decoder;
  ASSIGN_OR_RETURN(
      std::unique_ptr<Trunk> trunk,
      LoadPreNormTrunk(config, "token_decoder.", context.trunk, loader));
  std::unique_ptr<SummationStrategy> strategy(
      new SummationStrategy(context, std::move(trunk)));
  ASSIGN_OR_RETURN(
      strategy->bos_id_,
      context.scratch.Upload(std::vector<int32_t>{context.config.special.bos}));
  const int64_t rows = strategy->ops_.PaddedRows(context.max_rows);
  ASSIGN_OR_RETURN(
      strategy->residual_,
      context.scratch.Allocate(rows * config.hidden_dim * sizeof(float)));
  return strategy;
}

TensorView SummationStrategy::CopyContext(const TensorView& expanded,
                                          int offset) {
  const int64_t rows = expanded.dim(0);
  const int64_t dim = expanded.dim(2);
  const TensorView residual = residual_.View(DType::kFloat32, {rows, dim});
  ops_.CopyColumns(expanded.Reshape({rows, expanded.dim(1) * dim}),
                   offset * dim, residual);
  return residual;
}

TensorView SummationStrategy::Begin(const TensorView& expanded) {
  const TensorView residual = CopyContext(expanded, 0);
  table_.AddTo(ops_, bos_id_.View(DType::kInt32, {1}), residual,
               /*ids_stride=*/0);
  return residual;
}

TensorView SummationStrategy::Next(const TensorView& expanded,
                                   const StepTokens& tokens, int offset) {
  const TensorView residual = CopyContext(expanded, offset);
  table_.AddTo(ops_, tokens.column(offset - 1), residual, tokens_per_step_);
  return residual;
}

}  // namespace blockserve
