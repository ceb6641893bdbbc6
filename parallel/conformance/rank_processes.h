// The ranks of a test as processes, which can be killed and stopped.
#ifndef BLOCKSERVE_PARALLEL_CONFORMANCE_RANK_PROCESSES_H_
#define BLOCKSERVE_PARALLEL_CONFORMANCE_RANK_PROCESSES_H_

#include <sys/types.h>

#include <functional>
#include <optional>
#include <vector>

#include "absl/time/time.h"

namespace blockserve {

// Forked, so the process that makes them must have no thread but its own. They
// ignore SIGPIPE, as our processes do, and die with their parent.
class RankProcesses {
 public:
  // Each of `size` ranks runs `body` and exits with what it returns, without
  // destroying anything that lives outside of it.
  RankProcesses(int size, const std::function<int(int rank)>& body);
  // Kills those that were not waited for.
  ~RankProcesses();

  RankProcesses(const RankProcesses&) = delete;
  RankProcesses& operator=(const RankProcesses&) = delete;

  void Signal(int rank, int signal) const;
  // The exit code, or minus the signal that ended it; nullopt if it still runs
  // after `timeout`. Once for each rank.
  std::optional<int> Wait(int rank, absl::Duration timeout);

 private:
  std::vector<pid_t> pids_;  // by rank; 0: waited for
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONFORMANCE_RANK_PROCESSES_H_
