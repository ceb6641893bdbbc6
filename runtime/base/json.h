// Reads JSON that somebody else wrote.
#ifndef BLOCKSERVE_RUNTIME_BASE_JSON_H_
#define BLOCKSERVE_RUNTIME_BASE_JSON_H_

#include <nlohmann/json.hpp>
#include <string_view>

#include "absl/status/statusor.h"

namespace blockserve {

// Parses one JSON value. INVALID_ARGUMENT, with `source` in front, for
// malformed text, nesting deeper than `max_depth`, or a key given twice in one
// object (which most readers resolve silently, and not all alike).
absl::StatusOr<nlohmann::json> ParseJson(std::string_view text,
                                         std::string_view source,
                                         int max_depth = 64);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BASE_JSON_H_
