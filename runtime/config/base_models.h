// The configurations that checkpoints name as their base instead of repeating
// them (FORMAT.md 3.1).
#ifndef BLOCKSERVE_RUNTIME_CONFIG_BASE_MODELS_H_
#define BLOCKSERVE_RUNTIME_CONFIG_BASE_MODELS_H_

#include <memory>
#include <string>
#include <string_view>

#include "runtime/config/config_node.h"
#include "runtime/config/model_config.h"

namespace blockserve {

struct BaseModel {
  std::string name;
  TrunkKind kind = TrunkKind::kGptNeoX;
  // Every key of its configuration, those without influence on inference
  // included: a key that is not here is not a key of that kind of model.
  std::shared_ptr<const ConfigNode> values;
};

// The base model called `name`, or nullptr. Lives as long as the program.
const BaseModel* FindBaseModel(std::string_view name);

// "a, b, c" of the given kind, for errors.
std::string BaseModelNames(TrunkKind kind);

// What Hugging Face's GPT-NeoX reader assumes for keys its config.json leaves
// out; the sizes are null, since every file has them.
const ConfigNode& HuggingFaceGptNeoXDefaults();

// Keys of `embedder.config` of a lookup embedder, all null.
const ConfigNode& LookupEmbedderKeys();

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_CONFIG_BASE_MODELS_H_
