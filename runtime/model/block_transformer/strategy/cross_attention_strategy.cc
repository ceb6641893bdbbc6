#include "runtime/model/block_transformer/strategy/cross_attention_strategy.h"

#include "runtime/base/status_macros.h"

namespace blockserve {

absl::StatusOr<std::unique_ptr<Strategy>> CrossAttentionStrategy::Load(
    const StrategyContext& context, WeightLoader& loader) {
  const TrunkConfig& config = context.config.token_decoder;
  if (config.kind != TrunkKind::kT5) {
    return absl::UnimplementedError(
        "token_decoder.decoding_strategy: cross_attention needs cls t5");
  }
  const int ratio = context.config.expansion_ratio;
  ASSIGN_OR_RETURN(
      std::unique_ptr<T5Trunk> trunk,
      T5Trunk::Load(config, "token_decoder.decoder.", "token_decoder.",
                    {.max_rows = context.max_rows,
                     .max_length = context.config.block_length,
                     .memory_length = ratio},
                    context.trunk, loader, context.scratch));
  std::unique_ptr<CrossAttentionStrategy> strategy(
      new CrossAttentionStrategy(context, std::move(trunk)));
  Ops& ops = strategy->ops_;
  ASSIGN_OR_RETURN(
      strategy->bos_id_,
      context.scratch.Upload(std::vector<int32_t>{context.config.special.bos}));
  const int64_t memory_rows = ops.PaddedRows(int64_t{context.max_rows} * ratio);
  ASSIGN_OR_RETURN(strategy->memory_,
                   context.scratch.Allocate(memory_rows * config.hidden_dim *
                                            SizeOf(ops.dtype())));
  const int64_t rows = ops.PaddedRows(context.max_rows);
  ASSIGN_OR_RETURN(
      strategy->residual_,
      context.scratch.Allocate(rows * config.hidden_dim * sizeof(float)));
  return strategy;
}

TensorView CrossAttentionStrategy::Begin(const TensorView& expanded) {
  const int64_t rows = expanded.dim(0);
  const int64_t dim = expanded.dim(2);
  const TensorView memory =
      memory_.View(ops_.dtype(), {rows * expanded.dim(1), dim});
  ops_.Cast(expanded, memory);
  trunk_->SetMemory(memory);
  const TensorView residual = residual_.View(DType::kFloat32, {rows, dim});
  table_.Lookup(ops_, bos_id_.View(DType::kInt32, {1}), residual,
                /*ids_stride=*/0);
  return residual;
}

TensorView CrossAttentionStrategy::Next(const TensorView& expanded,
                                        const StepTokens& tokens, int offset) {
  const TensorView residual =
      residual_.View(DType::kFloat32, {expanded.dim(0), expanded.dim(2)});
  table_.Lookup(ops_, tokens.column(offset - 1), residual, tokens_per_step_);
  return residual;
}

}  // namespace blockserve
