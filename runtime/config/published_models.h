// The configurations that the authors have published results of, built in: a
// benchmark needs their shapes, not their weights.
#ifndef BLOCKSERVE_RUNTIME_CONFIG_PUBLISHED_MODELS_H_
#define BLOCKSERVE_RUNTIME_CONFIG_PUBLISHED_MODELS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/config/model_config.h"

namespace blockserve {

// "block_main_b4_85", "block_megabyte_b4_85", "vanilla_160" and the like, from
// the smallest up.
std::vector<std::string> PublishedModelNames();

// The configuration of that name, with its vocabulary of 50304 tokens.
// INVALID_ARGUMENT lists the names there are.
absl::StatusOr<ModelConfig> PublishedModelConfig(std::string_view name);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_CONFIG_PUBLISHED_MODELS_H_
