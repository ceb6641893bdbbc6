#include "runtime/model/block_transformer/strategy/prefix_strategy.h"

#include "runtime/base/status_macros.h"
#include "runtime/model/trunk/pre_norm_trunk.h"

namespace blockserve {

absl::StatusOr<std::unique_ptr<Strategy>> PrefixStrategy::Load(
    const StrategyContext& context, WeightLoader& loader) {
  const TrunkConfig& config = context.config.token_decoder;
  ASSIGN_OR_RETURN(
      std::unique_ptr<Trunk> trunk,
      LoadPreNormTrunk(config, "token_decoder.", context.trunk, loader));
  std::unique_ptr<PrefixStrategy> strategy(
      new PrefixStrategy(context, std::move(trunk)));
  const int64_t rows = strategy->ops_.PaddedRows(context.max_rows);
  ASSIGN_OR_RETURN(
      strategy->residual_,
      context.scratch.Allocate(rows * config.hidden_dim * sizeof(float)));
  return strategy;
}

TensorView PrefixStrategy::Begin(const TensorView& expanded) {
  return expanded.Reshape({expanded.dim(0) * expanded.dim(1), expanded.dim(2)});
}

TensorView PrefixStrategy::Next(const TensorView& expanded,
                                const StepTokens& tokens, int offset) {
  const TensorView residual =
      residual_.View(DType::kFloat32, {expanded.dim(0), expanded.dim(2)});
  table_.Lookup(ops_, tokens.column(offset - 1), residual, tokens_per_step_);
  return residual;
}

}  // namespace blockserve
