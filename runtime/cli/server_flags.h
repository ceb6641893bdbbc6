// Flags of the commands that start workers on this machine.
#ifndef BLOCKSERVE_RUNTIME_CLI_SERVER_FLAGS_H_
#define BLOCKSERVE_RUNTIME_CLI_SERVER_FLAGS_H_

#include <CLI/CLI.hpp>
#include <string>

#include "runtime/cli/server_processes.h"

namespace blockserve {

struct ServerFlags {
  std::string model;
  std::string backend = "cpu";
  std::string dtype = "auto";
  int world_size = 1;
  int num_threads = 0;
  int max_batch_size = 64;
  int max_context = 2048;
  std::string prefix_positions = "forward";
};

void AddServerFlags(CLI::App& command, ServerFlags& flags, bool required);

ServerProcessesOptions ToProcessesOptions(const ServerFlags& flags);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_CLI_SERVER_FLAGS_H_
