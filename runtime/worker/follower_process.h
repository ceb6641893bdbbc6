// The life of a rank that does not lead: it steps as its leader plans.
#ifndef BLOCKSERVE_RUNTIME_WORKER_FOLLOWER_PROCESS_H_
#define BLOCKSERVE_RUNTIME_WORKER_FOLLOWER_PROCESS_H_

#include <string>

#include "absl/status/status.h"
#include "runtime/worker/worker_process.h"

namespace blockserve {

// As RunWorker, for a rank > 0. Health is "ready" while the rank is in a formed
// group. After a signal it steps on until its leader has drained, or
// drain_timeout has passed.
absl::Status RunFollower(const WorkerOptions& options,
                         const std::string& model_name);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WORKER_FOLLOWER_PROCESS_H_
