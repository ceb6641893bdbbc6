// Who the workers are, which of them may be given work, and how much each has.
#ifndef BLOCKSERVE_ROUTER_WORKER_TABLE_H_
#define BLOCKSERVE_ROUTER_WORKER_TABLE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "router/group_health.h"
#include "router/policy/routing_policy.h"

namespace blockserve {

// A request's place at a worker.
struct WorkerLease {
  int worker = 0;
  // Of the worker, and unlike any other worker's.
  uint64_t generation = 0;
  bool is_probe = false;
};

enum class EjectionReason { kFailures, kStall };

// State only, no I/O. Work is counted when a request is dispatched, not when
// the worker answers: otherwise all requests of a burst would go to one worker.
// At most half of the workers are ejected at once. Thread-safe.
class WorkerTable {
 public:
  struct Row {
    std::string id;
    WorkerHealth health = WorkerHealth::kDown;
    bool is_ejected = false;  // the breaker is open or half open
    bool is_leaving = false;
    int64_t outstanding_blocks = 0;
    int outstanding_requests = 0;
  };

  explicit WorkerTable(const GroupHealthOptions& options = {})
      : options_(options) {}

  // `worker` names the worker from now on; it is kDown.
  void Add(int worker, std::string id);
  // A worker that leaves gets no more requests.
  void SetLeaving(int worker, bool leaving);
  // Forgets a worker that leaves and has no requests; false if it has any.
  bool RemoveIfIdle(int worker);

  // What the worker says of itself; see GroupHealth. A worker that is not
  // there, because it was removed, is ignored.
  void OnConnected(int worker, const std::string& instance_id,
                   uint64_t group_epoch);
  void OnLoad(int worker, const worker::v1::WatchLoadResponse& load,
              absl::Time now);
  void OnReadiness(int worker, bool ready);
  // `stalled`: because it hung, for which it is ejected at once.
  std::optional<EjectionReason> OnDisconnected(int worker, bool stalled,
                                               absl::Time now);

  // How requests fare. What comes from an earlier generation tells nothing
  // about the present one and is ignored.
  void OnSuccess(const WorkerLease& lease, absl::Time now);
  std::optional<EjectionReason> OnFailure(const WorkerLease& lease,
                                          bool group_lost, absl::Time now);

  // Picks a worker that takes requests, other than `excluded`, and charges it
  // `blocks`; none if there is none. If all that could are ejected, one of
  // them is tried anyway. Every charge has to be taken back with Release.
  std::optional<WorkerLease> Acquire(const RoutingPolicy& policy,
                                     int64_t blocks,
                                     absl::Span<const int> excluded,
                                     uint64_t random, absl::Time now);
  void Release(const WorkerLease& lease, int64_t blocks);

  // Those that take requests.
  int num_healthy(absl::Time now) const;
  int num_ejected() const;
  int num_workers() const;
  int num_outstanding_requests() const;
  // None if it was removed.
  std::optional<Row> row(int worker, absl::Time now) const;

 private:
  struct Worker {
    Row row;
    GroupHealth health;
    bool probing = false;
  };

  int NumEjected() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Worker* Find(int worker) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The worker, if the lease is of its present generation.
  Worker* FindCurrent(const WorkerLease& lease)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Eject(Worker& worker, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<WorkerCandidate> Candidates(
      absl::Span<const int> excluded,
      const std::function<bool(const Worker&)>& fits)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const GroupHealthOptions options_;
  mutable absl::Mutex mutex_;
  std::map<int, Worker> workers_ ABSL_GUARDED_BY(mutex_);
  uint64_t num_picks_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_WORKER_TABLE_H_
