// Reads a small file, a configuration or a manifest, into memory.
#ifndef BLOCKSERVE_RUNTIME_BASE_READ_FILE_H_
#define BLOCKSERVE_RUNTIME_BASE_READ_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace blockserve {

// NOT_FOUND if `path` does not exist, INVALID_ARGUMENT if it is no regular
// file or larger than `max_bytes`, else the system's reason. Each names path.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BASE_READ_FILE_H_
