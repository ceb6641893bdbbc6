#include "runtime/serving/process.h"

#include <glog/logging.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/synchronization/mutex.h"
#include "runtime/serving/flag_parser.h"

namespace blockserve {
namespace {

// The handler may run on any thread, also on one that a library started before
// main; it only counts and writes to a pipe, which is never read empty: once a
// signal came, every wait returns at once.
int g_signal_pipe[2] = {-1, -1};
std::atomic<int> g_num_signals = 0;
static_assert(std::atomic<int>::is_always_lock_free);
std::string* g_program = nullptr;

void OnShutdownSignal(int number) {
  if (g_num_signals.fetch_add(1) > 0) _exit(128 + number);
  const int saved_errno = errno;
  const char byte = 0;
  [[maybe_unused]] const ssize_t written = write(g_signal_pipe[1], &byte, 1);
  errno = saved_errno;
}

void InstallSignalHandlers() {
  PCHECK(pipe(g_signal_pipe) == 0);
  struct sigaction action = {};
  action.sa_handler = OnShutdownSignal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  PCHECK(sigaction(SIGTERM, &action, nullptr) == 0);
  PCHECK(sigaction(SIGINT, &action, nullptr) == 0);
  // A launcher may have blocked them before it started us.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  PCHECK(pthread_sigmask(SIG_UNBLOCK, &signals, nullptr) == 0);
  // A client that is gone is an error of its write.
  signal(SIGPIPE, SIG_IGN);
}

std::string BaseName(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

}  // namespace

int ExitCodeFor(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitOk;
    case absl::StatusCode::kUnavailable:
      return kExitPortInUse;
    case absl::StatusCode::kAborted:
      return kExitGroupBroken;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kDataLoss:
      return kExitBadInput;
    default:
      return kExitFailure;
  }
}

int ReportFailure(const absl::Status& status) {
  const std::string line =
      absl::StrReplaceAll(status.message(), {{"\n", "; "}, {"\r", ""}});
  std::fprintf(stderr, "%s: %s\n",
               g_program == nullptr ? "blockserve" : g_program->c_str(),
               line.c_str());
  return ExitCodeFor(status);
}

void InitServerProcess(int* argc, char*** argv, const char* usage) {
  g_program = new std::string(BaseName((*argv)[0]));
  // Debian builds Abseil with the check for lock cycles on, which takes a
  // global lock whenever one is taken while another is held (gRPC's included):
  // 66 instead of 21 ns for a pair. Tests keep it.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  InstallSignalHandlers();
  const std::vector<std::string> args(*argv + 1, *argv + *argc);
  for (const std::string& arg : args) {
    if (arg == "--") break;
    if (arg == "--help" || arg == "-h") {
      std::fputs(FlagsHelp(usage).c_str(), stdout);
      exit(std::fflush(stdout) == 0 ? kExitOk : kExitFailure);
    }
  }
  const auto rest = ParseFlags(args);
  if (!rest.ok()) exit(ReportFailure(rest.status()));
  static auto* const kept = new std::vector<std::string>(*rest);
  for (size_t i = 0; i < kept->size(); ++i) {
    (*argv)[i + 1] = (*kept)[i].data();
  }
  *argc = static_cast<int>(kept->size()) + 1;
  (*argv)[*argc] = nullptr;
  FLAGS_logtostderr = true;
  google::InitGoogleLogging((*argv)[0]);
}

bool WaitForShutdownSignal(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (g_num_signals.load() == 0) {
    int64_t millis = -1;
    if (timeout != absl::InfiniteDuration()) {
      const absl::Duration left =
          std::max(deadline - absl::Now(), absl::ZeroDuration());
      millis = std::min<int64_t>(
          absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1))),
          1 << 30);
    }
    pollfd wait = {g_signal_pipe[0], POLLIN, 0};
    const int ready = poll(&wait, 1, static_cast<int>(millis));
    if (ready == 0 && absl::Now() >= deadline) break;
  }
  return g_num_signals.load() > 0;
}

}  // namespace blockserve
