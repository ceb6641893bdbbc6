// An expanded context vector is added to each token's embedding: MEGABYTE's way
// (arXiv 2305.07185).
#ifndef BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_STRATEGY_SUMMATION_STRATEGY_H_
#define BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_STRATEGY_SUMMATION_STRATEGY_H_

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "kernels/api/buffer.h"
#include "runtime/layers/weight_loader.h"
#include "runtime/model/block_transformer/strategy/strategy.h"

namespace blockserve {

class SummationStrategy final : public Strategy {
 public:
  static absl::StatusOr<std::unique_ptr<Strategy>> Load(
      const StrategyContext& context, WeightLoader& loader);

  const Trunk& trunk() const override { return *trunk_; }
  TensorView Begin(const TensorView& expanded) override;
  TensorView Next(const TensorView& expanded, const StepTokens& tokens,
                  int offset) override;

 private:
  SummationStrategy(const StrategyContext& context,
                    std::unique_ptr<Trunk> trunk)
      : ops_(context.trunk.ops),
        table_(context.table),
        tokens_per_step_(context.config.block_length),
        trunk_(std::move(trunk)) {}

  // The expanded vectors of `offset`, for an embedding to be added.
  TensorView CopyContext(const TensorView& expanded, int offset);

  Ops& ops_;
  const EmbeddingTable& table_;
  const int tokens_per_step_;
  const std::unique_ptr<Trunk> trunk_;
  Buffer bos_id_;    // int32 [1]
  Buffer residual_;  // float [max_rows, token_dim]
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_STRATEGY_SUMMATION_STRATEGY_H_
