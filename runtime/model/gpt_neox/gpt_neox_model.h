// The vanilla baseline: GPT-NeoX over tokens, one token a step.
#ifndef BLOCKSERVE_RUNTIME_MODEL_GPT_NEOX_GPT_NEOX_MODEL_H_
#define BLOCKSERVE_RUNTIME_MODEL_GPT_NEOX_GPT_NEOX_MODEL_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/api/ops.h"
#include "parallel/api/rank_group.h"
#include "runtime/config/model_config.h"
#include "runtime/layers/activations.h"
#include "runtime/layers/embedding_table.h"
#include "runtime/layers/observer.h"
#include "runtime/layers/scratch_allocator.h"
#include "runtime/layers/step_metadata.h"
#include "runtime/layers/weight_loader.h"
#include "runtime/model/cached_trunk.h"
#include "runtime/model/model.h"
#include "runtime/model/step_replay.h"
#include "runtime/model/step_tokens.h"
#include "runtime/model/step_validation.h"

namespace blockserve {

class GptNeoXModel final : public Model {
 public:
  static absl::StatusOr<std::unique_ptr<Model>> Load(
      const ModelConfig& config, const ModelOptions& options,
      WeightLoader& loader);

  const ModelConfig& config() const override { return config_; }
  const ModelLimits& limits() const override { return rules_.limits; }
  absl::StatusOr<StepOutput> Step(const StepInput& input) override;
  std::vector<PartSize> parts() const override { return parts_; }
  size_t kv_bytes_per_page() const override;
  size_t scratch_bytes() const override { return scratch_.num_bytes(); }

 private:
  GptNeoXModel(const ModelConfig& config, const ModelOptions& options,
               Ops& ops);

  absl::Status LoadParts(WeightLoader& loader);
  void BeginPart(StepPart part) const {
    if (on_part_) on_part_(part);
  }
  void SetInput(const StepInput& input);
  // Enqueues the step between its input and the way back of its tokens.
  void Enqueue(const StepInput& input);

  const ModelConfig config_;
  const StepRules rules_;
  const RankGroup& group_;
  Ops& ops_;
  const Observer observer_;
  const std::function<void(StepPart)> on_part_;
  ScratchAllocator scratch_;
  StepMetadata metadata_;
  StepMetadata::Array ids_;  // [max_units]
  std::unique_ptr<Activations> activations_;
  EmbeddingTable table_;
  std::unique_ptr<CachedTrunk> trunk_;
  std::unique_ptr<Matrix> head_;  // [vocab_size, hidden_dim]
  std::unique_ptr<StepTokens> tokens_;
  StepReplay replay_;
  std::vector<PartSize> parts_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_GPT_NEOX_GPT_NEOX_MODEL_H_
