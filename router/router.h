// A whole router in one object: the public API over a list of workers.
#ifndef BLOCKSERVE_ROUTER_ROUTER_H_
#define BLOCKSERVE_ROUTER_ROUTER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "router/admission.h"
#include "router/discovery_source.h"
#include "router/discovery_watcher.h"
#include "router/generation_service.h"
#include "router/policy/routing_policy.h"
#include "router/request_registry.h"
#include "router/resume.h"
#include "router/router_metrics.h"
#include "router/shared_work.h"
#include "router/worker_fleet.h"
#include "runtime/serving/grpc_server.h"
#include "runtime/serving/metrics_server.h"
#include "runtime/tokenizer/tokenizer.h"

namespace blockserve {

struct RouterOptions {
  GrpcServerOptions server;
  std::string metrics_address = "0.0.0.0:9090";
  WorkerFleetOptions fleet;
  // Makes what finds the workers, in place of the fleet's fixed addresses;
  // null: they stay.
  std::function<std::unique_ptr<DiscoverySource>()> discovery;
  ResumeOptions resume;
  std::string policy = "least_outstanding";
  AdmissionOptions admission;
  GenerationServiceOptions service;
  // Of seeds and ids; another for each router.
  uint64_t random_seed = 0;
};

// Ready (grpc.health.v1) while at least one worker is healthy; starts with
// none. Thread-safe.
class Router {
 public:
  // `tokenizer` may be null: then only token ids are served. UNAVAILABLE if a
  // port is taken, INVALID_ARGUMENT for bad options.
  static absl::StatusOr<std::unique_ptr<Router>> Start(
      const RouterOptions& options, std::unique_ptr<Tokenizer> tokenizer);
  // Ends what still runs.
  ~Router();

  int port() const { return server_->port(); }
  int metrics_port() const { return metrics_server_->port(); }
  const WorkerFleet& fleet() const { return *fleet_; }
  const Admission& admission() const { return *admission_; }
  const RouterMetrics& metrics() const { return metrics_; }

  // Not ready for `delay`, in which requests are still taken, so that those who
  // balance load can look away; then takes no more, and returns when all have
  // ended. After `timeout` the rest is ended: with UNAVAILABLE DRAINING, or
  // ABORTED after the first token.
  void Drain(absl::Duration delay, absl::Duration timeout);

 private:
  Router(const RouterOptions& options, std::unique_ptr<Tokenizer> tokenizer,
         std::unique_ptr<RoutingPolicy> policy);

  void SetReady(bool ready);

  const std::unique_ptr<Tokenizer> tokenizer_;
  const std::unique_ptr<RoutingPolicy> policy_;
  RouterMetrics metrics_;
  RandomSource random_;
  SharedWork shared_work_;
  RequestRegistry registry_;
  std::unique_ptr<Admission> admission_;
  std::unique_ptr<WorkerFleet> fleet_;
  std::unique_ptr<DiscoveryWatcher> discovery_;
  std::unique_ptr<GenerationService> service_;
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<MetricsServer> metrics_server_;

  absl::Mutex ready_mutex_;
  bool leaving_ ABSL_GUARDED_BY(ready_mutex_) = false;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_ROUTER_H_
