// Reads the configuration of a Block Transformer.
#ifndef BLOCKSERVE_RUNTIME_CONFIG_BLOCK_TRANSFORMER_READER_H_
#define BLOCKSERVE_RUNTIME_CONFIG_BLOCK_TRANSFORMER_READER_H_

#include "absl/status/status.h"
#include "runtime/config/config_node.h"
#include "runtime/config/model_config.h"

namespace blockserve {

// Fills everything in `config` but its name, precision and max_length.
absl::Status ReadBlockTransformer(const ConfigSection& root,
                                  ModelConfig& config);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_CONFIG_BLOCK_TRANSFORMER_READER_H_
