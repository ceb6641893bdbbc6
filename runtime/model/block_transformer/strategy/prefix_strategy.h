// The expanded context vectors precede the tokens.
#ifndef BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_STRATEGY_PREFIX_STRATEGY_H_
#define BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_STRATEGY_PREFIX_STRATEGY_H_

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "kernels/api/buffer.h"
#include "runtime/layers/weight_loader.h"
#include "runtime/model/block_transformer/strategy/strategy.h"

namespace blockserve {

class PrefixStrategy final : public Strategy {
 public:
  static absl::StatusOr<std::unique_ptr<Strategy>> Load(
      const StrategyContext& context, WeightLoader& loader);

  const Trunk& trunk() const override { return *trunk_; }
  TensorView Begin(const TensorView& expanded) override;
  TensorView Next(const TensorView& expanded, const StepTokens& tokens,
                  int offset) override;

 private:
  PrefixStrategy(const StrategyContext& context, std::unique_ptr<Trunk> trunk)
      : ops_(context.trunk.ops),
        table_(context.table),
        tokens_per_step_(context.config.block_length),
        trunk_(std::move(trunk)) {}

  Ops& ops_;
  const EmbeddingTable& table_;
  const int tokens_per_step_;
  const std::unique_ptr<Trunk> trunk_;
  Buffer residual_;  // float [max_rows, token_dim]
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_STRATEGY_PREFIX_STRATEGY_H_
