// The table of embedders.
#ifndef BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_EMBEDDER_LOAD_EMBEDDER_H_
#define BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_EMBEDDER_LOAD_EMBEDDER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "runtime/config/model_config.h"
#include "runtime/layers/activations.h"
#include "runtime/layers/weight_loader.h"
#include "runtime/model/block_transformer/embedder/embedder.h"

namespace blockserve {

// What the embedder of `config` needs of Activations, if anything (rows 0).
ActivationLimits EmbedderActivationLimits(const ModelConfig& config,
                                          int max_blocks);

// The embedder that `context.config.embedder.kind` names.
absl::StatusOr<std::unique_ptr<Embedder>> LoadEmbedder(
    const EmbedderContext& context, WeightLoader& loader);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_BLOCK_TRANSFORMER_EMBEDDER_LOAD_EMBEDDER_H_
