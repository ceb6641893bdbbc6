// All workers of a router: their connections, their health, and who takes the
// next request.
#ifndef BLOCKSERVE_ROUTER_WORKER_FLEET_H_
#define BLOCKSERVE_ROUTER_WORKER_FLEET_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "router/discovery_set.h"
#include "router/policy/routing_policy.h"
#include "router/random_source.h"
#include "router/retry_budget.h"
#include "router/router_metrics.h"
#include "router/served_model.h"
#include "router/worker_client.h"
#include "router/worker_connection.h"
#include "router/worker_table.h"

namespace blockserve {

struct WorkerFleetOptions {
  std::vector<std::string> addresses;  // HOST:PORT; the n-th is "worker-<n>"
  WorkerClientOptions client;          // the address apart
  GroupHealthOptions health;
  RetryBudgetOptions retry_budget;
  // The tokens of the tokenizer; a model with a smaller vocabulary is refused.
  int min_vocab_size = 0;
  // What simulations replace: MonotonicNow and WorkerClient by default.
  std::function<absl::Time()> clock;
  WorkerConnector connect;
};

// Waits for a worker that takes requests.
class WorkerWaiter {
 public:
  virtual ~WorkerWaiter() = default;
  // Every few hundredths of a second; true to be asked no more.
  virtual bool TryAgain() = 0;
};

// All healthy workers serve one model: that of the worker that answered first.
// A worker with another one stays out until no worker is left that serves the
// first. Thread-safe.
class WorkerFleet : private WorkerConnectionListener {
 public:
  // The arguments must outlive the fleet. Call Start to connect.
  WorkerFleet(const WorkerFleetOptions& options, const RoutingPolicy& policy,
              RouterMetrics* metrics, RandomSource* random);
  // Ends all connections; requests still running are lost.
  ~WorkerFleet() override;

  // Connects. `on_ready` is called when the first worker becomes healthy and
  // when the last one ceases to be; it must not block. `on_tick` is called
  // every few hundredths of a second.
  void Start(std::function<void(bool)> on_ready, std::function<void()> on_tick);
  // What Start's thread does: for a simulation to call in its stead.
  void Tick();

  // `addresses` are the workers from the next tick on. One that is not among
  // them any more finishes what it has.
  void SetAddresses(std::vector<std::string> addresses);

  absl::Time Now() const { return options_.clock(); }

  // Picks a worker and counts `blocks` of work for it; none if none is healthy.
  std::optional<WorkerLease> Acquire(int64_t blocks,
                                     absl::Span<const int> excluded);
  void Release(const WorkerLease& lease, int64_t blocks);

  // See WorkerConnection.
  bool StartRequest(const WorkerLease& lease, const std::string& id,
                    worker::v1::ExecuteRequest command,
                    std::shared_ptr<WorkerRequestHandler> handler);
  void CancelRequest(const WorkerLease& lease, const std::string& id);

  // How requests fare; see WorkerTable.
  void ReportSuccess(const WorkerLease& lease);
  void ReportFailure(const WorkerLease& lease, bool group_lost);

  // See RetryBudget.
  uint64_t NewRetryCause() { return budget_.NewCause(); }
  bool TryBeginRetry(uint64_t cause);
  void EndRetry(uint64_t cause);

  // Asks `waiter` at every tick, the first come first.
  void Await(std::shared_ptr<WorkerWaiter> waiter);

  // The model served now or, if no worker is up, last; none before the first.
  std::optional<ServedModel> model() const;
  int num_healthy() const { return table_.num_healthy(Now()); }
  int num_ejected() const { return table_.num_ejected(); }
  int num_workers() const { return table_.num_workers(); }

 private:
  // What was last told about a worker.
  struct Told {
    WorkerHealth health = WorkerHealth::kDown;
    std::string last_error;
  };

  absl::Status OnIdentity(
      int worker, const worker::v1::GetIdentityResponse& identity) override;
  void OnLoad(int worker, const worker::v1::WatchLoadResponse& load) override;
  void OnReadiness(int worker, bool ready) override;
  void OnDown(int worker, const absl::Status& why) override;

  void TickUntilStopped();
  void ApplyAddresses();
  void AddWorker(const DiscoverySet::Member& member);
  void RemoveIdleLeavers();
  void AskWaiters();

  absl::Status LetIn(int worker, const ServedModel& model);
  void ShowEjection(int worker, std::optional<EjectionReason> reason);
  // Tells about a change of health, if there was one.
  void ShowHealth(int worker);
  void ShowReadiness();
  void ShowWorker(int worker);
  void ShowRetries();
  std::shared_ptr<WorkerConnection> connection(int worker) const;

  WorkerFleetOptions options_;
  const RoutingPolicy& policy_;
  RouterMetrics* const metrics_;
  RandomSource* const random_;
  std::function<void(bool)> on_ready_;
  std::function<void()> on_tick_;

  WorkerTable table_;
  RetryBudget budget_;
  DiscoverySet discovery_;  // of the thread that ticks
  absl::Mutex addresses_mutex_;
  std::optional<std::vector<std::string>> new_addresses_
      ABSL_GUARDED_BY(addresses_mutex_);

  // Serialises health changes with what is told about them.
  absl::Mutex health_mutex_;
  bool ready_ ABSL_GUARDED_BY(health_mutex_) = false;
  std::map<int, Told> told_ ABSL_GUARDED_BY(health_mutex_);

  mutable absl::Mutex model_mutex_;
  std::optional<ServedModel> model_ ABSL_GUARDED_BY(model_mutex_);
  // Whether each worker was let in with the model and is connected.
  std::map<int, bool> serves_model_ ABSL_GUARDED_BY(model_mutex_);

  absl::Mutex waiters_mutex_;
  std::vector<std::shared_ptr<WorkerWaiter>> waiters_
      ABSL_GUARDED_BY(waiters_mutex_);

  mutable absl::Mutex connections_mutex_;
  std::map<int, std::shared_ptr<WorkerConnection>> connections_
      ABSL_GUARDED_BY(connections_mutex_);
  absl::Notification stop_;
  std::thread ticker_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_WORKER_FLEET_H_
