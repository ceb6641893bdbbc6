// The table of decoding strategies.
#ifndef BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_STRATEGY_LOAD_STRATEGY_H_
#define BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_STRATEGY_LOAD_STRATEGY_H_

#include <memory>

#include "absl/status/statusor.h"
#include "runtime/layers/weight_loader.h"
#include "runtime/model/block_transformer/strategy/strategy.h"

namespace blockserve {

// The strategy that `context.config.strategy` names, with its trunk.
absl::StatusOr<std::unique_ptr<Strategy>> LoadStrategy(
    const StrategyContext& context, WeightLoader& loader);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_STRATEGY_LOAD_STRATEGY_H_
