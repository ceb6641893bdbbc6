#include "parallel/conformance/rank_processes.h"

#include <glog/logging.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <utility>

#include "absl/time/clock.h"

namespace blockserve {

RankProcesses::RankProcesses(int size,
                             const std::function<int(int rank)>& body) {
  for (int rank = 0; rank < size; ++rank) {
    const pid_t pid = fork();
    PCHECK(pid >= 0);
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      std::signal(SIGPIPE, SIG_IGN);
      std::_Exit(body(rank));
    }
    pids_.push_back(pid);
  }
}

RankProcesses::~RankProcesses() {
  for (const pid_t pid : pids_) {
    if (pid == 0) continue;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
}

void RankProcesses::Signal(int rank, int signal) const {
  const pid_t pid = pids_[static_cast<size_t>(rank)];
  CHECK_NE(pid, 0) << "rank " << rank << " was waited for";
  PCHECK(kill(pid, signal) == 0);
}

std::optional<int> RankProcesses::Wait(int rank, absl::Duration timeout) {
  pid_t& pid = pids_[static_cast<size_t>(rank)];
  CHECK_NE(pid, 0) << "rank " << rank << " was waited for";
  const absl::Time begin = absl::Now();
  int status = 0;
  pid_t ended = 0;
  while ((ended = waitpid(pid, &status, WNOHANG)) == 0) {
    if (absl::Now() - begin > timeout) return std::nullopt;
    absl::SleepFor(absl::Milliseconds(2));
  }
  PCHECK(ended == pid);
  pid = 0;
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace blockserve
