// What a group of ranks tells its members.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_GROUP_TYPES_H_
#define BLOCKSERVE_PARALLEL_CONTROL_GROUP_TYPES_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace blockserve {

struct RankInfo {
  int rank = 0;
  std::string host_id;
  // HOST:PORT of its control connection as the leader sees it; of the leader,
  // what it listens on.
  std::string address;
};

// An epoch: the time in which one set of ranks works together. Its number is
// larger than that of any epoch in which one of its ranks has been.
struct Formation {
  uint64_t epoch = 0;
  // Of the leader's process: two leaders may count to the same epoch.
  uint64_t leader_incarnation = 0;
  bool one_host = false;        // all ranks have the same host_id
  std::vector<RankInfo> ranks;  // by rank
};

struct StepReport {
  uint64_t step = 0;  // number of the plan: 1, 2, .. within the epoch
  absl::Duration step_time;
  absl::Duration collective_time;  // of step_time; waiting for peers counts
};

struct RankStatus {
  bool up = false;                 // joined, and heard of in time
  uint64_t last_step = 0;          // of the current epoch
  absl::Duration step_time;        // moving average
  absl::Duration collective_time;  // moving average
};

// On ranks > 0, `ranks` tells of this rank and the leader only, and straggler
// and refusals are left empty.
struct GroupSnapshot {
  uint64_t epoch = 0;  // 0: none now
  std::vector<RankStatus> ranks;
  int straggler = -1;
  int64_t rebuilds = 0;     // epochs but the first
  absl::Status last_error;  // why the last epoch ended
  // Peers that were not let in, by reason: wrong_secret, duplicate, ...
  std::map<std::string, int64_t> refusals;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_GROUP_TYPES_H_
