// The embedder of the paper's main models: a table, and the vectors of a block
// concatenated, projected, or added.
#ifndef BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_EMBEDDER_LOOKUP_EMBEDDER_H_
#define BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_EMBEDDER_LOOKUP_EMBEDDER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "kernels/api/buffer.h"
#include "kernels/api/ops.h"
#include "runtime/layers/dense.h"
#include "runtime/layers/embedding_table.h"
#include "runtime/layers/weight_loader.h"
#include "runtime/model/block_transformer/embedder/embedder.h"

namespace blockserve {

// Ignores the mask: padding contributes its embedding.
class LookupEmbedder final : public Embedder {
 public:
  static absl::StatusOr<std::unique_ptr<Embedder>> Load(
      const EmbedderContext& context, WeightLoader& loader);

  void SetBlocks(int block_begin, absl::Span<const int32_t> tokens,
                 absl::Span<const uint8_t> mask) override;
  void Embed(int num_blocks, const TensorView& output) override;

 private:
  explicit LookupEmbedder(const EmbedderContext& context);

  void EmbedSum(const TensorView& ids, const TensorView& output);
  void EmbedProjected(const TensorView& ids, int num_blocks,
                      const TensorView& output);

  Ops& ops_;
  StepMetadata& metadata_;
  const EmbedderProjection kind_;
  const int block_length_;
  const StepMetadata::Array ids_;  // [max_blocks, block_length]
  EmbeddingTable table_;

  // With a projection layer only.
  Dense projection_;
  Buffer vectors_;          // float [max_blocks * block_length, vector_dim]
  Buffer rounded_vectors_;  // T, the same
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_EMBEDDER_LOOKUP_EMBEDDER_H_
