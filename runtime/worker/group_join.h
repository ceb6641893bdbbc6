// Joining a group, again and again, until it works or a signal comes.
#ifndef BLOCKSERVE_RUNTIME_WORKER_GROUP_JOIN_H_
#define BLOCKSERVE_RUNTIME_WORKER_GROUP_JOIN_H_

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/worker/rank_host.h"

namespace blockserve {

// How often signals and the group are looked at.
inline constexpr absl::Duration kPollInterval = absl::Milliseconds(50);

// Joins on a thread of its own. True once the rank has joined; false after a
// signal (InitServerProcess): the process is to end. A model that is just being
// loaded cannot be stopped: then this ends the process with exit code 0. Errors
// are those that trying again does not mend.
absl::StatusOr<bool> JoinUntilSignal(RankHost& host);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WORKER_GROUP_JOIN_H_
