// blockserve bench: benchmarks, one subcommand each.
#include "runtime/cli/commands.h"

namespace blockserve {

void AddBenchCommand(CLI::App& app, int& exit_code) {
  CLI::App* bench = app.add_subcommand("bench", "Measure speed");
  bench->require_subcommand(1);
  AddBenchEngineCommand(*bench, exit_code);
  AddBenchServeCommand(*bench, exit_code);
}

}  // namespace blockserve
