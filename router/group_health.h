// Whether a group of ranks, which is one worker to the router, may be given
// requests.
#ifndef BLOCKSERVE_ROUTER_GROUP_HEALTH_H_
#define BLOCKSERVE_ROUTER_GROUP_HEALTH_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "blockserve/worker/v1/worker.pb.h"

namespace blockserve {

enum class WorkerHealth {
  kDown,      // no connection, or it says itself that it does not serve
  kHealthy,   // takes requests
  kDraining,  // finishes what it has
  kEjected,   // says that it serves, but has failed too often
  kHalfOpen,  // was ejected; takes one request at a time until one succeeds
};

struct GroupHealthOptions {
  int max_consecutive_failures = 5;
  // The n-th ejection lasts n times base_ejection, at most max_ejection. Every
  // base_ejection in rotation without a failure takes one off n.
  absl::Duration base_ejection = absl::Seconds(5);
  absl::Duration max_ejection = absl::Seconds(60);
  // How long a group that lost a request is kept out if it does not say that it
  // ceased to serve: it may still be finding out.
  absl::Duration loss_hold = absl::Seconds(1);
};

// What the group says of itself (its connection, WatchLoad, grpc.health.v1)
// and, on top of that, a circuit breaker fed by how its requests end. A
// generation is a time in which the group lost none of its requests as a whole:
// a new one begins with every connection, and with every rebuild that the
// leader lives through. A new incarnation or epoch ends an ejection early,
// since what failed is gone, but as kHalfOpen only. State only, no I/O; not
// thread-safe.
class GroupHealth {
 public:
  explicit GroupHealth(const GroupHealthOptions& options) : options_(options) {}

  // The worker has said who it is; it is not healthy before its first load.
  void OnConnected(const std::string& instance_id, uint64_t group_epoch);
  void OnLoad(const worker::v1::WatchLoadResponse& load, absl::Time now);
  // What grpc.health.v1 says; ready until it says otherwise.
  void OnReadiness(bool ready) { ready_ = ready; }
  // Everything that ran is lost.
  void OnDisconnected();

  // A request of the present generation got its first tokens or its answer.
  void OnSuccess(absl::Time now);
  // A request of the present generation failed by itself. True if the group
  // should be ejected for it.
  bool OnFailure(absl::Time now);
  // The group lost a request, so all of this generation: counts as one failure,
  // and keeps the group out until it serves again. True as above.
  bool OnGroupLost(absl::Time now);
  void Eject(absl::Time now);

  WorkerHealth At(absl::Time now) const;
  // The breaker is open or half open.
  bool is_ejected() const { return ejected_; }
  bool is_connected() const { return connected_; }
  uint64_t generation() const { return generation_; }

 private:
  // What failed before is gone.
  void Renew(absl::Time now);
  void BeginGeneration();
  void Forgive(absl::Time now);

  const GroupHealthOptions options_;

  bool connected_ = false;
  std::string instance_id_;
  uint64_t group_epoch_ = 0;
  bool renewed_ = false;  // since the last load
  worker::v1::WorkerState state_ = worker::v1::WORKER_STATE_UNSPECIFIED;
  bool ready_ = true;
  uint64_t generation_ = 0;
  bool lost_ = false;  // in this generation
  absl::Time lost_until_ = absl::InfinitePast();

  int num_failures_ = 0;  // in a row
  bool ejected_ = false;
  absl::Time ejected_until_ = absl::InfinitePast();
  int num_ejections_ = 0;
  absl::Time forgiven_at_ = absl::InfinitePast();
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_GROUP_HEALTH_H_
