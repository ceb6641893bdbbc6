// Who the workers are, which of them may be given work, and how much each has.
#ifndef BLOCKSERVE_ROUTER_WORKER_TABLE_H_
#define BLOCKSERVE_ROUTER_WORKER_TABLE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "router/policy/routing_policy.h"

namespace blockserve {

enum class WorkerHealth {
  kDown,      // no connection, or refused
  kHealthy,   // takes requests
  kDraining,  // finishes what it has
};

// State only, no I/O. Work is counted when a request is dispatched, not when
// the worker answers: otherwise all requests of a burst would go to one worker.
// Thread-safe.
class WorkerTable {
 public:
  struct Row {
    std::string id;
    WorkerHealth health = WorkerHealth::kDown;
    int64_t outstanding_blocks = 0;
    int outstanding_requests = 0;
  };

  // Workers start kDown; returns the index that names the worker from now on.
  int Add(std::string id);
  // Returns how many workers are healthy now.
  int SetHealth(int worker, WorkerHealth health);

  // Picks a healthy worker other than `excluded` and charges it `blocks`; none
  // if there is none. Every charge has to be taken back with Release.
  std::optional<int> Acquire(const RoutingPolicy& policy, int64_t blocks,
                             std::optional<int> excluded, uint64_t random);
  void Release(int worker, int64_t blocks);

  int num_healthy() const;
  Row row(int worker) const;

 private:
  mutable absl::Mutex mutex_;
  std::vector<Row> rows_ ABSL_GUARDED_BY(mutex_);
  uint64_t num_picks_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_WORKER_TABLE_H_
