// The table of model families.
#include <utility>

#include "runtime/base/status_macros.h"
#include "runtime/config/model_config_reader.h"
#include "runtime/layers/weight_loader.h"
#include "runtime/model/block_transformer/block_transformer_model.h"
#include "runtime/model/cached_trunk.h"
#include "runtime/model/gpt_neox/gpt_neox_model.h"
#include "runtime/model/model.h"
#include "runtime/model/step_validation.h"
#include "runtime/weights/checkpoint.h"

namespace blockserve {
namespace {

struct ModelEntry {
  ModelFamily family;
  absl::StatusOr<std::unique_ptr<Model>> (*load)(const ModelConfig&,
                                                 const ModelOptions&,
                                                 WeightLoader&);
};

constexpr ModelEntry kModels[] = {
    {ModelFamily::kBlockTransformer, &BlockTransformerModel::Load},
    {ModelFamily::kVanilla, &GptNeoXModel::Load},
};

}  // namespace

absl::StatusOr<std::unique_ptr<Model>> LoadModel(
    const std::string& directory, const ModelOptions& options, Ops& ops,
    std::function<void(int64_t, int64_t)> progress) {
  RETURN_IF_ERROR(ValidateLimits(options.limits));
  ASSIGN_OR_RETURN(const ModelConfig config, ReadModelConfig(directory));
  ASSIGN_OR_RETURN(std::unique_ptr<Checkpoint> checkpoint,
                   Checkpoint::Open(directory));
  if (progress) checkpoint->SetProgress(std::move(progress));
  return LoadModel(config, *checkpoint, options, ops);
}

absl::StatusOr<std::unique_ptr<Model>> LoadModel(const ModelConfig& config,
                                                 Checkpoint& checkpoint,
                                                 const ModelOptions& options,
                                                 Ops& ops) {
  RETURN_IF_ERROR(ValidateLimits(options.limits));
  WeightLoader loader(checkpoint, ops);
  for (const ModelEntry& entry : kModels) {
    if (entry.family != config.family) continue;
    ASSIGN_OR_RETURN(std::unique_ptr<Model> model,
                     entry.load(config, options, loader));
    RETURN_IF_ERROR(checkpoint.CheckAllRead());
    return model;
  }
  return absl::UnimplementedError("this family of models is not served");
}

size_t KvBytesPerPage(const ModelConfig& config, const RankGroup& group,
                      const Ops& ops) {
  return CachedTrunk::KvBytesPerPage(config.cached_trunk(), group, ops);
}

}  // namespace blockserve
