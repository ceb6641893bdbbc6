// Tells a launcher which ports a server chose: a small file of name=number
// lines that appears whole.
#ifndef BLOCKSERVE_RUNTIME_SERVING_PORT_FILE_H_
#define BLOCKSERVE_RUNTIME_SERVING_PORT_FILE_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace blockserve {

// Writes beside `path` and renames, so a reader sees nothing or everything.
absl::Status WritePortFile(const std::string& path,
                           const std::map<std::string, int>& ports);

// NOT_FOUND while the file is not there.
absl::StatusOr<std::map<std::string, int>> ReadPortFile(
    const std::string& path);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_SERVING_PORT_FILE_H_
