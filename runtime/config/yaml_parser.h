// YAML text -> ConfigNode.
#ifndef BLOCKSERVE_RUNTIME_CONFIG_YAML_PARSER_H_
#define BLOCKSERVE_RUNTIME_CONFIG_YAML_PARSER_H_

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "runtime/config/config_node.h"

namespace blockserve {

// Parses a document whose top is a map. INVALID_ARGUMENT, as
// "source:line: reason", for malformed text, a key given twice, a merge key, a
// second document, or more than the limits: 256 KiB, depth 32, 10000 nodes, 64
// aliases.
absl::StatusOr<std::shared_ptr<const ConfigNode>> ParseYaml(
    std::string_view text, std::string_view source);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_CONFIG_YAML_PARSER_H_
