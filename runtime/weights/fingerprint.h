// Tells one model from another without reading all of it.
#ifndef BLOCKSERVE_RUNTIME_WEIGHTS_FINGERPRINT_H_
#define BLOCKSERVE_RUNTIME_WEIGHTS_FINGERPRINT_H_

#include <string>

#include "absl/status/statusor.h"

namespace blockserve {

// 32 hex digits: XXH3-128 over the configuration (config.yaml, or else
// config.json), and of each weights file that Checkpoint would open its header
// and, of each tensor, 4 KiB at the beginning, the middle and the end. Another
// checkpoint of the same shape differs in those; a few values changed between
// them go unnoticed. Not for use against forgers.
//
// NOT_FOUND without a configuration or weights; DATA_LOSS for a malformed
// weights file.
absl::StatusOr<std::string> FingerprintOf(const std::string& model_directory);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WEIGHTS_FINGERPRINT_H_
