// All workers of a router: their connections, their health, and who takes the
// next request.
#ifndef BLOCKSERVE_ROUTER_WORKER_FLEET_H_
#define BLOCKSERVE_ROUTER_WORKER_FLEET_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "router/policy/routing_policy.h"
#include "router/random_source.h"
#include "router/router_metrics.h"
#include "router/served_model.h"
#include "router/worker_client.h"
#include "router/worker_table.h"

namespace blockserve {

struct WorkerFleetOptions {
  std::vector<std::string> addresses;  // HOST:PORT; the n-th is "worker-<n>"
  WorkerClientOptions client;          // the address apart
  // The tokens of the tokenizer; a model with a smaller vocabulary is refused.
  int min_vocab_size = 0;
};

// All healthy workers serve one model: that of the worker that answered first.
// A worker with another one stays out until no worker is left that serves the
// first. Thread-safe.
class WorkerFleet : private WorkerClientListener {
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

  // Picks a worker and counts `blocks` of work for it; none if none is healthy.
  std::optional<int> Acquire(int64_t blocks, std::optional<int> excluded);
  void Release(int worker, int64_t blocks);

  // See WorkerSession.
  bool StartRequest(int worker, const std::string& id,
                    worker::v1::ExecuteRequest command,
                    std::shared_ptr<WorkerRequestHandler> handler);
  void CancelRequest(int worker, const std::string& id);

  // The model served now or, if no worker is up, last; none before the first.
  std::optional<ServedModel> model() const;
  int num_healthy() const { return table_.num_healthy(); }

 private:
  absl::Status OnIdentity(
      int worker, const worker::v1::GetIdentityResponse& identity) override;
  void OnLoad(int worker, const worker::v1::WatchLoadResponse& load) override;
  void OnDown(int worker, const absl::Status& why) override;

  void SetHealth(int worker, WorkerHealth health);
  void ShowWorker(int worker);
  void TickUntilStopped();

  const WorkerFleetOptions options_;
  const RoutingPolicy& policy_;
  RouterMetrics* const metrics_;
  RandomSource* const random_;
  std::function<void(bool)> on_ready_;
  std::function<void()> on_tick_;

  WorkerTable table_;
  // Serialises health changes with what is told about them.
  absl::Mutex health_mutex_;
  bool ready_ ABSL_GUARDED_BY(health_mutex_) = false;
  std::vector<WorkerHealth> health_ ABSL_GUARDED_BY(health_mutex_);
  std::vector<std::string> last_error_ ABSL_GUARDED_BY(health_mutex_);

  mutable absl::Mutex model_mutex_;
  std::optional<ServedModel> model_ ABSL_GUARDED_BY(model_mutex_);
  // Whether each worker was let in with the model and is connected.
  std::vector<bool> serves_model_ ABSL_GUARDED_BY(model_mutex_);

  std::vector<std::unique_ptr<WorkerClient>> clients_;
  absl::Notification stop_;
  std::thread ticker_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_WORKER_FLEET_H_
