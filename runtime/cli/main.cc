// The command line of BlockServe.
#include <glog/logging.h>

#include <csignal>

#include "absl/synchronization/mutex.h"
#include "runtime/cli/commands.h"
#include "runtime/serving/process.h"

int main(int argc, char** argv) {
  FLAGS_logtostderr = true;
  FLAGS_minloglevel = google::GLOG_WARNING;
  google::InitGoogleLogging(argv[0]);
  std::signal(SIGPIPE, SIG_IGN);
  // As InitServerProcess does: a client under load pays for the check too.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);

  CLI::App app(
      "BlockServe serves Block Transformer language models.\n"
      "Every command has its own --help.");
  app.name("blockserve");
  app.require_subcommand(1);
  int exit_code = blockserve::kExitOk;
  blockserve::AddServeCommand(app, exit_code);
  blockserve::AddGenerateCommand(app, exit_code);
  blockserve::AddScoreCommand(app, exit_code);
  blockserve::AddTokenizeCommand(app, exit_code);
  blockserve::AddGoldenCommand(app, exit_code);
  blockserve::AddInspectCommand(app, exit_code);
  blockserve::AddPlanCommand(app, exit_code);
  blockserve::AddBenchCommand(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? blockserve::kExitOk
                                : blockserve::kExitBadInput;
  }
  return exit_code;
}
