#include "runtime/model/block_transformer/strategy/load_strategy.h"

#include "runtime/model/block_transformer/strategy/cross_attention_strategy.h"
#include "runtime/model/block_transformer/strategy/prefix_strategy.h"
#include "runtime/model/block_transformer/strategy/summation_strategy.h"

namespace blockserve {
namespace {

struct StrategyEntry {
  DecodingStrategy kind;
  absl::StatusOr<std::unique_ptr<Strategy>> (*load)(const StrategyContext&,
                                                    WeightLoader&);
};

constexpr StrategyEntry kStrategies[] = {
    {DecodingStrategy::kPrefix, &PrefixStrategy::Load},
    {DecodingStrategy::kSummation, &SummationStrategy::Load},
    {DecodingStrategy::kCrossAttention, &CrossAttentionStrategy::Load},
};

}  // namespace

absl::StatusOr<std::unique_ptr<Strategy>> LoadStrategy(
    const StrategyContext& context, WeightLoader& loader) {
  for (const StrategyEntry& entry : kStrategies) {
    if (entry.kind == context.config.strategy) {
      return entry.load(context, loader);
    }
  }
  return absl::UnimplementedError(
      "token_decoder.decoding_strategy is not served");
}

}  // namespace blockserve
