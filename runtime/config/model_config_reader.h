// Reads a checkpoint directory's configuration.
#ifndef BLOCKSERVE_RUNTIME_CONFIG_MODEL_CONFIG_READER_H_
#define BLOCKSERVE_RUNTIME_CONFIG_MODEL_CONFIG_READER_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "runtime/config/model_config.h"

namespace blockserve {

// Reads `directory`/config.yaml (the authors' layout) or, where there is none,
// `directory`/config.json (Hugging Face GPT-NeoX), fills in what the base
// models imply and validates the result.
// Errors: NOT_FOUND without a configuration; INVALID_ARGUMENT for a value that
// is missing, of the wrong type, out of range, or unknown where it matters;
// UNIMPLEMENTED for a kind of model that is not served. Each names file and
// key.
absl::StatusOr<ModelConfig> ReadModelConfig(const std::string& directory);

// The same from the text of a file; `source` names it in errors.
absl::StatusOr<ModelConfig> ParseYamlModelConfig(std::string_view text,
                                                 std::string_view source);
absl::StatusOr<ModelConfig> ParseHfModelConfig(std::string_view text,
                                               std::string_view source);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_CONFIG_MODEL_CONFIG_READER_H_
