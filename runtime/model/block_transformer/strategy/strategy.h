// How the token decoder is told its context: what its trunk reads before and
// between the tokens of a block (FORMAT.md 5.7).
#ifndef BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_STRATEGY_STRATEGY_H_
#define BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_STRATEGY_STRATEGY_H_

#include "kernels/api/tensor_view.h"
#include "runtime/config/model_config.h"
#include "runtime/layers/embedding_table.h"
#include "runtime/layers/scratch_allocator.h"
#include "runtime/model/step_tokens.h"
#include "runtime/model/trunk/trunk.h"

namespace blockserve {

// What a strategy is made from; all of it outlives it.
struct StrategyContext {
  const ModelConfig& config;
  int max_rows = 0;  // per step
  TrunkContext trunk;
  const EmbeddingTable& table;  // the token decoder's own
  ScratchAllocator& scratch;
};

// Makes the inputs of the trunk and holds the trunk.
class Strategy {
 public:
  virtual ~Strategy() = default;

  virtual const Trunk& trunk() const = 0;

  // Inputs of the first pass of a block. Returns float [rows * num_start,
  // token_dim], for the trunk to change.
  //   expanded: float [rows, expansion_ratio, token_dim]; may be changed by the
  //             trunk, but is kept for Next if Next reads it
  virtual TensorView Begin(const TensorView& expanded) = 0;

  // The input behind the token of `offset` - 1, `offset` in [1, block_length).
  // Returns float [rows, token_dim].
  virtual TensorView Next(const TensorView& expanded, const StepTokens& tokens,
                          int offset) = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_STRATEGY_STRATEGY_H_
