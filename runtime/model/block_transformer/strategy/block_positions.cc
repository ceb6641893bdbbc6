#include "runtime/model/block_transformer/strategy/block_positions.h"

namespace blockserve {

BlockPositions BlockPositionsOf(const ModelConfig& config,
                                PrefixPositions prefix_positions) {
  BlockPositions block;
  block.num_start =
      config.strategy == DecodingStrategy::kPrefix ? config.expansion_ratio : 1;
  block.max_length = block.num_start + config.block_length - 1;
  const bool prefix_at_zero =
      prefix_positions == PrefixPositions::kReferenceGenerate;
  for (int i = 0; i < block.max_length; ++i) {
    int position = i;
    // The reference's generate() puts every prefix vector at position 0 and
    // token o at o + 1.
    if (prefix_at_zero) {
      position = i < block.num_start ? 0 : i - block.num_start + 1;
    }
    block.positions.push_back(position);
  }
  return block;
}

}  // namespace blockserve
