#include "runtime/cli/server_processes.h"

#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "blockserve/v1/generation.grpc.pb.h"
#include "runtime/base/status_macros.h"
#include "runtime/serving/port_file.h"
#include "runtime/serving/process.h"

namespace blockserve {
namespace {

namespace fs = std::filesystem;

constexpr char kSpinCount[] = "20000";
constexpr absl::Duration kPollInterval = absl::Milliseconds(10);
// Weights of tens of gigabytes load from slow disks, too.
constexpr absl::Duration kReadyTimeout = absl::Minutes(30);
constexpr absl::Duration kFirstRestartPause = absl::Seconds(1);
constexpr absl::Duration kLongestRestartPause = absl::Seconds(60);
// A worker that has served this long starts over with short pauses.
constexpr absl::Duration kHealthyAge = absl::Minutes(5);

// The other binaries lie where the build puts them, or beside this one.
absl::StatusOr<std::string> FindBinary(const std::string& build_path,
                                       const std::string& name) {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  const fs::path candidates[] = {
      self.parent_path() / "../.." / build_path / name,
      self.parent_path() / name};
  for (const fs::path& candidate : candidates) {
    if (fs::exists(candidate, error)) {
      return fs::weakly_canonical(candidate, error).string();
    }
  }
  return absl::NotFoundError(
      absl::StrCat("expected the binary ", name, " at ",
                   candidates[0].lexically_normal().string(), " or ",
                   candidates[1].string(), "; build it first"));
}

int NumUsableCores() {
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof(cores), &cores) != 0) return 1;
  return std::max(1, CPU_COUNT(&cores));
}

std::string LastLine(const std::string& path) {
  std::ifstream file(path);
  std::string line, last;
  while (std::getline(file, line)) {
    if (!line.empty()) last = line;
  }
  return last;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ServerProcesses>> ServerProcesses::Start(
    const ServerProcessesOptions& options) {
  ASSIGN_OR_RETURN(const std::string worker_binary,
                   FindBinary("runtime/worker", "blockserve_worker"));
  ASSIGN_OR_RETURN(const std::string router_binary,
                   FindBinary("router", "blockserve_router"));

  auto processes = std::unique_ptr<ServerProcesses>(new ServerProcesses);
  std::string directory =
      (fs::temp_directory_path() / "blockserve.XXXXXX").string();
  if (mkdtemp(directory.data()) == nullptr) {
    return absl::UnavailableError(absl::StrCat(
        "cannot make a directory ", directory, ": ", std::strerror(errno)));
  }
  processes->directory_ = directory;
  processes->log_file_ = options.log_file;

  const int threads = options.num_threads > 0
                          ? options.num_threads
                          : std::max(1, NumUsableCores() / options.num_workers);
  for (int i = 0; i < options.num_workers; ++i) {
    Child child;
    child.name = absl::StrCat("worker-", i);
    child.binary = worker_binary;
    child.port_file = absl::StrCat(directory, "/", child.name, ".ports");
    child.flags = {absl::StrCat("--model=", options.model),
                   absl::StrCat("--worker_id=", child.name),
                   absl::StrCat("--threads=", threads), "--host=127.0.0.1"};
    child.flags.insert(child.flags.end(), options.worker_flags.begin(),
                       options.worker_flags.end());
    processes->workers_.push_back(std::move(child));
  }
  std::vector<std::string> addresses;
  for (Child& worker : processes->workers_) {
    RETURN_IF_ERROR(processes->Launch(worker));
  }
  for (Child& worker : processes->workers_) {
    RETURN_IF_ERROR(processes->AwaitPorts(worker));
    addresses.push_back(absl::StrCat("127.0.0.1:", worker.port));
  }

  Child& router = processes->router_;
  router.name = "router";
  router.binary = router_binary;
  router.port = options.port;
  router.metrics_port = options.metrics_port;
  router.port_file = absl::StrCat(directory, "/router.ports");
  router.flags = {absl::StrCat("--workers=", absl::StrJoin(addresses, ",")),
                  absl::StrCat("--host=", options.host)};
  const std::string tokenizer = options.model + "/tokenizer.json";
  if (fs::exists(tokenizer)) {
    router.flags.push_back(absl::StrCat("--tokenizer=", tokenizer));
  }
  router.flags.insert(router.flags.end(), options.router_flags.begin(),
                      options.router_flags.end());
  RETURN_IF_ERROR(processes->Launch(router));
  RETURN_IF_ERROR(processes->AwaitPorts(router));
  RETURN_IF_ERROR(processes->AwaitReady(options.num_workers));
  return processes;
}

ServerProcesses::~ServerProcesses() {
  for (Child* child : {&router_}) {
    if (child->pid > 0) kill(child->pid, SIGKILL);
  }
  for (Child& worker : workers_) {
    if (worker.pid > 0) kill(worker.pid, SIGKILL);
  }
  int wait_status = 0;
  if (router_.pid > 0) waitpid(router_.pid, &wait_status, 0);
  for (Child& worker : workers_) {
    if (worker.pid > 0) waitpid(worker.pid, &wait_status, 0);
  }
  std::error_code error;
  if (!directory_.empty()) fs::remove_all(directory_, error);
}

std::vector<int> ServerProcesses::worker_metrics_ports() const {
  std::vector<int> ports;
  for (const Child& worker : workers_) ports.push_back(worker.metrics_port);
  return ports;
}

absl::Status ServerProcesses::Launch(Child& child) {
  std::error_code error;
  fs::remove(child.port_file, error);
  std::vector<std::string> arguments = {child.binary};
  arguments.insert(arguments.end(), child.flags.begin(), child.flags.end());
  arguments.push_back(absl::StrCat("--port=", child.port));
  arguments.push_back(absl::StrCat("--metrics_port=", child.metrics_port));
  arguments.push_back(absl::StrCat("--port_file=", child.port_file));
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  // Router, workers and often the client share this machine's cores here: a
  // worker's threads may wait busily between two operations of a step, not for
  // milliseconds while others need the core. (Read by libgomp at its start.)
  setenv("GOMP_SPINCOUNT", kSpinCount, /*overwrite=*/0);

  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot start ", child.name, ": ", std::strerror(errno)));
  }
  if (pid == 0) {  // Only async-signal-safe calls from here on.
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(1);
    setpgid(0, 0);  // Ctrl-C reaches the parent, which drains us in order.
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    if (!log_file_.empty()) {
      const int log =
          open(log_file_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      if (log >= 0) {
        dup2(log, STDOUT_FILENO);
        dup2(log, STDERR_FILENO);
      }
    } else {
      dup2(STDERR_FILENO, STDOUT_FILENO);
    }
    execv(argv[0], argv.data());
    _exit(127);
  }
  child.pid = pid;
  child.started = absl::Now();
  child.restart_at = absl::InfiniteFuture();
  return absl::OkStatus();
}

bool ServerProcesses::Reap(Child& child, int& wait_status) {
  if (child.pid <= 0 || waitpid(child.pid, &wait_status, WNOHANG) == 0) {
    return false;
  }
  child.pid = -1;
  return true;
}

absl::Status ServerProcesses::ExitError(const Child& child,
                                        int wait_status) const {
  const std::string how =
      WIFSIGNALED(wait_status)
          ? absl::StrCat("was ended by signal ", WTERMSIG(wait_status))
          : absl::StrCat("ended with exit code ", WEXITSTATUS(wait_status));
  std::string message = absl::StrCat(child.name, " ", how);
  if (!log_file_.empty()) {
    absl::StrAppend(&message, ": ", LastLine(log_file_));
  } else {
    absl::StrAppend(&message, " (its message is above)");
  }
  const int code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
  if (code == kExitBadInput) return absl::InvalidArgumentError(message);
  if (code == kExitPortInUse) return absl::UnavailableError(message);
  return absl::InternalError(message);
}

absl::Status ServerProcesses::AwaitPorts(Child& child) {
  const absl::Time deadline = absl::Now() + kReadyTimeout;
  int wait_status = 0;
  while (absl::Now() < deadline) {
    if (Reap(child, wait_status)) return ExitError(child, wait_status);
    if (auto ports = ReadPortFile(child.port_file); ports.ok()) {
      child.port = (*ports)["port"];
      child.metrics_port = (*ports)["metrics_port"];
      return absl::OkStatus();
    }
    absl::SleepFor(kPollInterval);
  }
  return absl::DeadlineExceededError(
      absl::StrCat(child.name, " did not listen within ",
                   absl::FormatDuration(kReadyTimeout)));
}

absl::Status ServerProcesses::AwaitReady(int num_workers) {
  const auto stub = v1::InferenceService::NewStub(
      grpc::CreateChannel(absl::StrCat("127.0.0.1:", router_.port),
                          grpc::InsecureChannelCredentials()));
  const absl::Time deadline = absl::Now() + kReadyTimeout;
  int wait_status = 0;
  while (absl::Now() < deadline) {
    if (Reap(router_, wait_status)) return ExitError(router_, wait_status);
    for (Child& worker : workers_) {
      if (Reap(worker, wait_status)) return ExitError(worker, wait_status);
    }
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(5)));
    v1::GetModelResponse response;
    if (stub->GetModel(&context, {}, &response).ok() &&
        response.model().worker_count() >= num_workers) {
      return absl::OkStatus();
    }
    absl::SleepFor(kPollInterval);
  }
  return absl::DeadlineExceededError(
      absl::StrCat("the router did not see ", num_workers, " workers within ",
                   absl::FormatDuration(kReadyTimeout)));
}

absl::Status ServerProcesses::Supervise() {
  int wait_status = 0;
  if (Reap(router_, wait_status)) return ExitError(router_, wait_status);
  const absl::Time now = absl::Now();
  for (Child& worker : workers_) {
    if (Reap(worker, wait_status)) {
      if (now - worker.started > kHealthyAge) worker.num_restarts = 0;
      const absl::Duration pause = std::min(
          kLongestRestartPause,
          kFirstRestartPause * (1 << std::min(worker.num_restarts, 6)));
      ++worker.num_restarts;
      worker.restart_at = now + pause;
      std::cerr << ExitError(worker, wait_status).message()
                << "; starting it again in " << absl::FormatDuration(pause)
                << "\n";
    }
    if (worker.pid < 0 && now >= worker.restart_at) {
      RETURN_IF_ERROR(Launch(worker));
    }
  }
  return absl::OkStatus();
}

void ServerProcesses::Stop(absl::Time deadline, bool (*interrupted)()) {
  int wait_status = 0;
  const auto stop = [&](std::vector<Child*> children) {
    for (Child* child : children) {
      if (child->pid > 0) kill(child->pid, SIGTERM);
    }
    for (Child* child : children) {
      while (child->pid > 0 && !Reap(*child, wait_status)) {
        if (absl::Now() >= deadline || interrupted()) {
          kill(child->pid, SIGKILL);
        }
        absl::SleepFor(kPollInterval);
      }
    }
  };
  stop({&router_});
  std::vector<Child*> workers;
  for (Child& worker : workers_) workers.push_back(&worker);
  stop(workers);
}

}  // namespace blockserve
