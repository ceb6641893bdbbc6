// Every layer of the token decoder, T5's, attends to the expanded context
// vectors as its memory.
#ifndef BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_STRATEGY_CROSS_ATTENTION_STRATEGY_H_
#define BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_STRATEGY_CROSS_ATTENTION_STRATEGY_H_

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "kernels/api/buffer.h"
#include "runtime/layers/weight_loader.h"
#include "runtime/model/block_transformer/strategy/strategy.h"
#include "runtime/model/trunk/t5_trunk.h"

namespace blockserve {

class CrossAttentionStrategy final : public Strategy {
 public:
  static absl::StatusOr<std::unique_ptr<Strategy>> Load(
      const StrategyContext& context, WeightLoader& loader);

  const Trunk& trunk() const override { return *trunk_; }
  TensorView Begin(const TensorView& expanded) override;
  TensorView Next(const TensorView& expanded, const StepTokens& tokens,
                  int offset) override;

 private:
  CrossAttentionStrategy(const StrategyContext& context,
                         std::unique_ptr<T5Trunk> trunk)
      : ops_(context.trunk.ops),
        table_(context.table),
        tokens_per_step_(context.config.block_length),
        trunk_(std::move(trunk)) {}

  Ops& ops_;
  const EmbeddingTable& table_;
  const int tokens_per_step_;
  const std::unique_ptr<T5Trunk> trunk_;
  Buffer bos_id_;    // int32 [1]
  Buffer memory_;    // T [max_rows * expansion_ratio, token_dim]
  Buffer residual_;  // float [max_rows, token_dim]
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_STRATEGY_CROSS_ATTENTION_STRATEGY_H_
