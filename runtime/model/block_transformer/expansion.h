// Turns a context embedding into the vectors that the token decoder reads
// (FORMAT.md 5.6).
#ifndef BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_EXPANSION_H_
#define BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_EXPANSION_H_

#include <memory>

#include "absl/status/statusor.h"
#include "kernels/api/buffer.h"
#include "kernels/api/tensor_view.h"
#include "runtime/config/model_config.h"
#include "runtime/layers/dense.h"
#include "runtime/layers/scratch_allocator.h"
#include "runtime/layers/weight_loader.h"

namespace blockserve {

class Expansion {
 public:
  static absl::StatusOr<std::unique_ptr<Expansion>> Load(
      const ModelConfig& config, int max_rows, WeightLoader& loader,
      ScratchAllocator& scratch);

  // Returns float [rows, expansion_ratio, token_dim], good until the next call.
  //   contexts: T [rows, block_dim]
  TensorView Expand(const TensorView& contexts);

 private:
  Expansion(const ModelConfig& config, Ops& ops);

  void Repeat(const TensorView& contexts, const TensorView& expanded);

  Ops& ops_;
  const bool has_layer_;
  const int ratio_;
  const int token_dim_;
  Dense layer_;
  Buffer expanded_;  // float [max_rows, expansion_ratio, token_dim]

  // Without a layer: the context is repeated.
  Buffer contexts_;    // float [max_rows, token_dim]
  Buffer repetition_;  // int32 [max_rows * expansion_ratio]: i / ratio
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_EXPANSION_H_
