// The subcommands of `blockserve`. Each adds itself to the application; its
// callback leaves the exit code in `exit_code` (runtime/serving/process.h).
#ifndef BLOCKSERVE_RUNTIME_CLI_COMMANDS_H_
#define BLOCKSERVE_RUNTIME_CLI_COMMANDS_H_

#include <CLI/CLI.hpp>

namespace blockserve {

void AddServeCommand(CLI::App& app, int& exit_code);
void AddGenerateCommand(CLI::App& app, int& exit_code);
void AddScoreCommand(CLI::App& app, int& exit_code);
void AddTokenizeCommand(CLI::App& app, int& exit_code);
void AddGoldenCommand(CLI::App& app, int& exit_code);
void AddInspectCommand(CLI::App& app, int& exit_code);
void AddPlanCommand(CLI::App& app, int& exit_code);
// With subcommands of its own.
void AddBenchCommand(CLI::App& app, int& exit_code);
void AddBenchEngineCommand(CLI::App& bench, int& exit_code);
void AddBenchServeCommand(CLI::App& bench, int& exit_code);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_CLI_COMMANDS_H_
