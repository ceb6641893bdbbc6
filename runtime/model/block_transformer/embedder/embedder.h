// Turns each block of token ids into the vector that the block decoder reads
// (arXiv 2406.02657, "Embedder"; FORMAT.md 5.4).
#ifndef BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_EMBEDDER_EMBEDDER_H_
#define BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_EMBEDDER_EMBEDDER_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/api/tensor_view.h"
#include "runtime/config/model_config.h"
#include "runtime/layers/scratch_allocator.h"
#include "runtime/layers/step_metadata.h"
#include "runtime/model/trunk/trunk.h"

namespace blockserve {

// What an embedder is made from; all but `config` and `max_blocks` outlive it.
struct EmbedderContext {
  const ModelConfig& config;
  int max_blocks = 0;  // per step
  TrunkContext trunk;
  StepMetadata& metadata;
  ScratchAllocator& scratch;
};

// Used by one thread at a time: SetBlocks for all blocks of a step, an upload
// of the metadata, Embed.
class Embedder {
 public:
  virtual ~Embedder() = default;

  // Takes the blocks from `block_begin` on.
  //   tokens: [n * block_length] ids; mask: as many, 0 = padding, or empty
  virtual void SetBlocks(int block_begin, absl::Span<const int32_t> tokens,
                         absl::Span<const uint8_t> mask) = 0;

  // Embeds the first `num_blocks` blocks. Enqueued.
  //   output: float [num_blocks, block_dim], with room for padded rows
  virtual void Embed(int num_blocks, const TensorView& output) = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_EMBEDDER_EMBEDDER_H_
