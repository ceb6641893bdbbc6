#include "runtime/cli/server_child.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "runtime/serving/port_file.h"
#include "runtime/serving/process.h"

namespace blockserve {
namespace {

constexpr char kSpinCount[] = "20000";
constexpr absl::Duration kPollInterval = absl::Milliseconds(10);
constexpr absl::Duration kFirstRestartPause = absl::Seconds(1);
constexpr absl::Duration kLongestRestartPause = absl::Seconds(60);
// A child that has served this long starts over with short pauses.
constexpr absl::Duration kHealthyAge = absl::Minutes(5);

std::string LastLine(const std::string& path) {
  std::ifstream file(path);
  std::string line, last;
  while (std::getline(file, line)) {
    if (!line.empty()) last = line;
  }
  return last;
}

}  // namespace

ServerChild::ServerChild(ServerChildOptions options)
    : options_(std::move(options)) {}

ServerChild::~ServerChild() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, &wait_status_, 0);
}

std::vector<std::string> ServerChild::CommandLine() const {
  std::vector<std::string> arguments = {options_.binary};
  arguments.insert(arguments.end(), options_.flags.begin(),
                   options_.flags.end());
  for (const auto& [flag, port] : options_.ports) {
    arguments.push_back(absl::StrCat("--", flag, "=", port));
  }
  arguments.push_back(absl::StrCat("--port_file=", options_.port_file));
  return arguments;
}

// Between fork and exec: async-signal-safe calls only.
void ServerChild::RunBinary(pid_t parent, char* const* argv) const {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(1);
  setpgid(0, 0);  // Ctrl-C reaches the parent, which drains us in order.
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (options_.log_file.empty()) {
    dup2(STDERR_FILENO, STDOUT_FILENO);
  } else if (const int log = open(options_.log_file.c_str(),
                                  O_WRONLY | O_CREAT | O_APPEND, 0600);
             log >= 0) {
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
  }
  execv(argv[0], argv);
  _exit(127);
}

absl::Status ServerChild::Launch() {
  std::error_code error;
  std::filesystem::remove(options_.port_file, error);
  std::vector<std::string> arguments = CommandLine();
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  // Router, ranks and often the client share this machine's cores here: a
  // rank's threads may wait busily between two operations of a step, not for
  // milliseconds while others need the core. (Read by libgomp at its start.)
  setenv("GOMP_SPINCOUNT", kSpinCount, /*overwrite=*/0);

  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot start ", name(), ": ", std::strerror(errno)));
  }
  if (pid == 0) RunBinary(parent, argv.data());
  pid_ = pid;
  started_ = absl::Now();
  restart_at_ = absl::InfiniteFuture();
  return absl::OkStatus();
}

bool ServerChild::is_running() {
  if (pid_ > 0 && waitpid(pid_, &wait_status_, WNOHANG) != 0) pid_ = -1;
  return pid_ > 0;
}

void ServerChild::Signal(int number) {
  if (is_running()) kill(pid_, number);
}

absl::Status ServerChild::CheckRunning() {
  return is_running() ? absl::OkStatus() : ExitError();
}

absl::Status ServerChild::ExitError() const {
  const std::string how =
      WIFSIGNALED(wait_status_)
          ? absl::StrCat("was ended by signal ", WTERMSIG(wait_status_))
          : absl::StrCat("ended with exit code ", WEXITSTATUS(wait_status_));
  std::string message = absl::StrCat(name(), " ", how);
  if (WIFSIGNALED(wait_status_) && WTERMSIG(wait_status_) == SIGKILL) {
    // That leaves no time for a last word.
  } else if (!options_.log_file.empty()) {
    absl::StrAppend(&message, ": ", LastLine(options_.log_file));
  } else {
    absl::StrAppend(&message, " (its message is above)");
  }
  const int code = WIFEXITED(wait_status_) ? WEXITSTATUS(wait_status_) : -1;
  if (code == kExitBadInput) return absl::InvalidArgumentError(message);
  if (code == kExitPortInUse) return absl::UnavailableError(message);
  return absl::InternalError(message);
}

absl::Status ServerChild::AwaitPorts(absl::Time deadline) {
  while (absl::Now() < deadline) {
    // Looked at first: a child that ends at once may have written its ports.
    const absl::Status running = CheckRunning();
    if (!running.ok()) return running;
    if (auto ports = ReadPortFile(options_.port_file); ports.ok()) {
      for (auto& [flag, port] : options_.ports) port = (*ports)[flag];
      return absl::OkStatus();
    }
    absl::SleepFor(kPollInterval);
  }
  return absl::DeadlineExceededError(
      absl::StrCat(name(), " did not listen in time"));
}

absl::Status ServerChild::KeepRunning(absl::Time now) {
  if (is_running()) return absl::OkStatus();
  if (restart_at_ == absl::InfiniteFuture()) {
    if (now - started_ > kHealthyAge) num_restarts_ = 0;
    const absl::Duration pause =
        std::min(kLongestRestartPause,
                 kFirstRestartPause * (1 << std::min(num_restarts_, 6)));
    ++num_restarts_;
    restart_at_ = now + pause;
    std::cerr << ExitError().message() << "; starting it again in "
              << absl::FormatDuration(pause) << "\n";
  }
  return now >= restart_at_ ? Launch() : absl::OkStatus();
}

}  // namespace blockserve
