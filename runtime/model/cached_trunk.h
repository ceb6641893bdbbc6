// The trunk that keeps the paged KV cache: a Block Transformer's block decoder,
// or all of a vanilla model's layers. In a group of ranks each has some heads
// and their part of the cache, and the outputs are dealt to the ranks.
#ifndef BLOCKSERVE_RUNTIME_MODEL_CACHED_TRUNK_H_
#define BLOCKSERVE_RUNTIME_MODEL_CACHED_TRUNK_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "kernels/api/buffer.h"
#include "kernels/api/tensor_view.h"
#include "parallel/api/rank_group.h"
#include "runtime/config/model_config.h"
#include "runtime/layers/activations.h"
#include "runtime/layers/paged_layer_attention.h"
#include "runtime/layers/scratch_allocator.h"
#include "runtime/layers/step_metadata.h"
#include "runtime/layers/weight_loader.h"
#include "runtime/model/model.h"
#include "runtime/model/paged_batch.h"
#include "runtime/model/trunk/trunk.h"

namespace blockserve {

class CachedTrunk {
 public:
  // Tensors under `prefix`: "block_decoder.", or "" in a vanilla model; the
  // observer is shown names with the same prefix.
  static absl::StatusOr<std::unique_ptr<CachedTrunk>> Load(
      const TrunkConfig& config, const std::string& prefix,
      const ModelLimits& limits, int tokens_per_unit, const RankGroup& group,
      const TrunkContext& context, WeightLoader& loader, StepMetadata& metadata,
      ScratchAllocator& scratch);

  static ActivationLimits ActivationLimitsOf(const TrunkConfig& config,
                                             const ModelLimits& limits,
                                             const RankGroup& group);
  // Of this rank's heads.
  static size_t KvBytesPerPage(const TrunkConfig& config,
                               const RankGroup& group, const Ops& ops);
  // Units a sequence may have by its position embedding.
  static int MaxPositions(const TrunkConfig& config);

  PagedBatch& batch() { return batch_; }

  // The input of Run. float [num_units, hidden_dim]
  TensorView residual() const;

  // Runs all layers over the units of the batch. Returns their outputs at those
  // of the rows wanted that are this rank's, T [num_own_outputs, hidden_dim],
  // good until the next Run.
  TensorView Run();

 private:
  CachedTrunk(const TrunkConfig& config, const std::string& prefix,
              const ModelLimits& limits, int tokens_per_unit,
              const RankGroup& group, const TrunkContext& context,
              StepMetadata& metadata);

  TensorView RunObserved(const PagedPass& paged);

  const TrunkConfig config_;
  const std::string prefix_;
  const RankGroup& group_;
  const TrunkContext context_;
  PagedBatch batch_;
  std::unique_ptr<Trunk> trunk_;
  std::unique_ptr<PagedLayerAttention> attention_;
  Buffer residual_;  // float [max_units, hidden_dim]
  Buffer output_;    // T [max_rows, hidden_dim]

  // With an observer only: the outputs of all units.
  Buffer all_outputs_;        // T [max_units, hidden_dim]
  Buffer all_float_outputs_;  // float [max_units, hidden_dim]
  Buffer float_output_;       // float [max_rows, hidden_dim]
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_CACHED_TRUNK_H_
