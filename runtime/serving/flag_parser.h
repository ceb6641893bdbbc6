// Abseil flags from the command line, with our own answers: an unknown flag or
// a bad value is a Status, and --help shows the binary's own flags only.
#ifndef BLOCKSERVE_RUNTIME_SERVING_FLAG_PARSER_H_
#define BLOCKSERVE_RUNTIME_SERVING_FLAG_PARSER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace blockserve {

// Sets flags from `args` (without the binary's name): --name=value,
// --name value, --switch, --noswitch; "--" ends them. Returns the arguments
// that are no flags. INVALID_ARGUMENT for an unknown flag or a bad value; flags
// before it are set.
absl::StatusOr<std::vector<std::string>> ParseFlags(
    const std::vector<std::string>& args);

// `usage` and, by name, every flag that a *_main.cc defines, with its default.
std::string FlagsHelp(const std::string& usage);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_SERVING_FLAG_PARSER_H_
