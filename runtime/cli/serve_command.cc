// blockserve serve: a router and groups of ranks on this machine.
#include <csignal>
#include <ctime>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/report.h"
#include "runtime/cli/server_flags.h"
#include "runtime/cli/server_processes.h"
#include "runtime/serving/process.h"

namespace blockserve {
namespace {

constexpr int kMaxGroups = 256;
// More processes than that are a slip of the keyboard.
constexpr int kMaxRanks = 1024;

struct ServeFlags {
  ServerFlags server;
  std::string host = "0.0.0.0";
  int port = 50051;
  int metrics_port = 9090;
  int num_groups = 1;
  double drain_timeout_seconds = 30;
  double step_timeout_seconds = 10;
};

sigset_t ShutdownSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

// True if a shutdown signal comes within `timeout`.
bool SignalWithin(absl::Duration timeout) {
  const sigset_t signals = ShutdownSignals();
  const timespec time = absl::ToTimespec(timeout);
  return sigtimedwait(&signals, nullptr, &time) > 0;
}

// Told before any process is started.
std::string FindBadFlag(const ServeFlags& flags) {
  if (flags.port != 0 && flags.port == flags.metrics_port) {
    return absl::StrCat("--port and --metrics_port must differ, both are ",
                        flags.port);
  }
  const int num_ranks = flags.num_groups * flags.server.world_size;
  if (num_ranks > kMaxRanks) {
    return absl::StrCat(
        "--groups times --tensor_parallel_size must be at most ", kMaxRanks,
        ", got ", num_ranks);
  }
  return "";
}

int Serve(const ServeFlags& flags) {
  if (const std::string bad = FindBadFlag(flags); !bad.empty()) {
    return ReportBadFlag(bad);
  }
  // Held from here on, so that a signal during start-up is not lost.
  const sigset_t signals = ShutdownSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  ServerProcessesOptions options = ToProcessesOptions(flags.server);
  options.host = flags.host;
  options.port = flags.port;
  options.metrics_port = flags.metrics_port;
  options.num_groups = flags.num_groups;
  const std::string drain =
      absl::StrCat("--drain_timeout=", flags.drain_timeout_seconds, "s");
  options.worker_flags.push_back(drain);
  options.router_flags.push_back(drain);
  options.worker_flags.push_back(
      absl::StrCat("--step_timeout=", flags.step_timeout_seconds, "s"));
  options.router_flags.push_back(
      absl::StrCat("--stall_timeout=", flags.step_timeout_seconds, "s"));
  options.interrupted = [] { return SignalWithin(absl::ZeroDuration()); };
  auto processes = ServerProcesses::Start(options);
  if (absl::IsCancelled(processes.status())) return kExitOk;
  if (!processes.ok()) return ReportError(processes.status());

  std::cout << "ready api=" << flags.host << ":" << (*processes)->port()
            << " metrics=http://" << flags.host << ":"
            << (*processes)->metrics_port() << "/metrics";
  for (int port : (*processes)->worker_metrics_ports()) {
    std::cout << " worker_metrics=http://127.0.0.1:" << port << "/metrics";
  }
  std::cout << std::endl;

  while (!SignalWithin(absl::Milliseconds(200))) {
    if (absl::Status status = (*processes)->Supervise(); !status.ok()) {
      return ReportError(status);
    }
  }
  std::cerr << "draining; a second signal ends it at once\n";
  // Each side drains for itself; the margin lets it say what it gave up.
  (*processes)
      ->Stop(absl::Now() + absl::Seconds(2 * flags.drain_timeout_seconds + 5),
             [] { return SignalWithin(absl::ZeroDuration()); });
  return kExitOk;
}

}  // namespace

void AddServeCommand(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<ServeFlags>();
  CLI::App* command = app.add_subcommand(
      "serve", "Serve a model on this machine: a router and groups of ranks");
  AddServerFlags(*command, flags->server, /*required=*/true);
  command->add_option("--host", flags->host, "Address to listen on")
      ->capture_default_str();
  command->add_option("--port", flags->port, "gRPC port; 0: any free one")
      ->capture_default_str()
      ->check(CLI::Range(0, 65535));
  command
      ->add_option("--metrics_port", flags->metrics_port,
                   "Prometheus port of the router; 0: any free one")
      ->capture_default_str()
      ->check(CLI::Range(0, 65535));
  CLI::Option* groups =
      command
          ->add_option("--groups", flags->num_groups,
                       "Copies of the model, each served by a group of "
                       "--tensor_parallel_size ranks")
          ->capture_default_str()
          ->check(CLI::Range(1, kMaxGroups));
  command
      ->add_option("--workers", flags->num_groups, "Another name of --groups")
      ->check(CLI::Range(1, kMaxGroups))
      ->excludes(groups);
  command
      ->add_option("--drain_timeout", flags->drain_timeout_seconds,
                   "Seconds running requests get after SIGTERM")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 3600.0));
  command
      ->add_option("--step_timeout", flags->step_timeout_seconds,
                   "Seconds after which a silent rank or group is given up")
      ->capture_default_str()
      ->check(CLI::Range(1.0, 3600.0));
  command->callback([flags, &exit_code] { exit_code = Serve(*flags); });
}

}  // namespace blockserve
