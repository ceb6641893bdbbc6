// Embedders that run RoBERTa over each block: its tokens' outputs are projected
// (`roberta`), or those of CLS tokens put in front of them (`roberta_cls`).
#ifndef BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_EMBEDDER_ROBERTA_EMBEDDER_H_
#define BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_EMBEDDER_ROBERTA_EMBEDDER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "kernels/api/buffer.h"
#include "kernels/api/ops.h"
#include "runtime/layers/dense.h"
#include "runtime/layers/weight_loader.h"
#include "runtime/model/block_transformer/embedder/embedder.h"
#include "runtime/model/block_transformer/embedder/roberta_trunk.h"

namespace blockserve {

class RobertaEmbedder final : public Embedder {
 public:
  // As many CLS tokens as the configuration says; `roberta` has none.
  static absl::StatusOr<std::unique_ptr<Embedder>> Load(
      const EmbedderContext& context, WeightLoader& loader);

  void SetBlocks(int block_begin, absl::Span<const int32_t> tokens,
                 absl::Span<const uint8_t> mask) override;
  void Embed(int num_blocks, const TensorView& output) override;

 private:
  explicit RobertaEmbedder(const EmbedderContext& context);

  // Fills ids, positions and mask of one block.
  void SetBlock(int block, absl::Span<const int32_t> tokens,
                absl::Span<const uint8_t> mask);

  Ops& ops_;
  StepMetadata& metadata_;
  const EmbedderConfig config_;
  const int block_length_;
  const int num_cls_;      // tokens put in front of a block
  const int length_;       // num_cls + block_length
  const int num_vectors_;  // per block that are used, the first ones
  const int pad_id_;
  const StepMetadata::Array ids_;        // [max_blocks, length]
  const StepMetadata::Array positions_;  // [max_blocks, length]
  const StepMetadata::Array key_mask_;   // [max_blocks, length]
  std::unique_ptr<RobertaTrunk> trunk_;
  Dense projection_;
  Buffer residual_;  // float [max_blocks * length, hidden_dim]
  Buffer selected_;  // T [max_blocks, num_vectors * hidden_dim]
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_EMBEDDER_ROBERTA_EMBEDDER_H_
