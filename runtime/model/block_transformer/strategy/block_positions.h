// Where the inputs of the token decoder lie (FORMAT.md 5.7, "Positions").
#ifndef BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_STRATEGY_BLOCK_POSITIONS_H_
#define BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_STRATEGY_BLOCK_POSITIONS_H_

#include <cstdint>
#include <vector>

#include "runtime/config/model_config.h"
#include "runtime/model/model.h"

namespace blockserve {

// The positions of a block in the token decoder's trunk.
struct BlockPositions {
  // Inputs of the first pass; the last one's output writes offset 0.
  int num_start = 1;
  // All inputs: the last token of a block is never fed back.
  int max_length = 1;
  // Position of each input. int32 [max_length]
  std::vector<int32_t> positions;
};

BlockPositions BlockPositionsOf(const ModelConfig& config,
                                PrefixPositions prefix_positions);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_STRATEGY_BLOCK_POSITIONS_H_
