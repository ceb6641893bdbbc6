// The worker's flags about its group.
#ifndef BLOCKSERVE_RUNTIME_WORKER_GROUP_FLAGS_H_
#define BLOCKSERVE_RUNTIME_WORKER_GROUP_FLAGS_H_

#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/group/group_rank.h"

namespace blockserve {

// As the user gave them; -1 and empty: not given.
struct GroupFlags {
  int rank = -1;
  int world_size = -1;
  std::string leader;  // HOST:PORT
  std::string host;    // that rank 0 listens on unless bind_interface is given
  int group_port = 50053;
  std::string bind_interface;
  std::string secret_file;
  absl::Duration step_timeout = absl::Seconds(10);
  std::string on_group_failure = "rejoin";
  std::string collectives = "auto";
};

struct GroupPlace {
  std::optional<GroupRankOptions> group;  // empty: one rank alone
  bool exit_on_failure = false;
};

// What the flags and, where they say nothing, the environment ask for:
// LWS_WORKER_INDEX, LWS_GROUP_SIZE and LWS_LEADER_ADDRESS (LeaderWorkerSet),
// BLOCKSERVE_GROUP_SECRET. INVALID_ARGUMENT names the flag; NOT_FOUND if the
// secret's file cannot be read.
absl::StatusOr<GroupPlace> ResolveGroup(
    const GroupFlags& flags,
    const std::map<std::string, std::string>& environment);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WORKER_GROUP_FLAGS_H_
