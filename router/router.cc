#include "router/router.h"

#include <glog/logging.h>

#include <utility>

#include "absl/time/clock.h"
#include "runtime/base/monotonic_clock.h"
#include "runtime/base/status_macros.h"
#include "runtime/serving/log_line.h"

namespace blockserve {
namespace {

// How long a call may take to send its status once it has ended.
constexpr absl::Duration kFlushTime = absl::Seconds(1);

RpcError LeftOverError(const ActiveRequest& request) {
  RpcError error = DrainingError();
  // Part of the answer is with the client: not to be repeated blindly.
  if (request.started()) error.code = grpc::StatusCode::ABORTED;
  return error;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Router>> Router::Start(
    const RouterOptions& options, std::unique_ptr<Tokenizer> tokenizer) {
  ASSIGN_OR_RETURN(std::unique_ptr<RoutingPolicy> policy,
                   CreateRoutingPolicy(options.policy));
  std::unique_ptr<Router> router(
      new Router(options, std::move(tokenizer), std::move(policy)));
  ASSIGN_OR_RETURN(router->server_,
                   GrpcServer::Start(options.server, {router->service_.get()}));
  ASSIGN_OR_RETURN(router->metrics_server_,
                   MetricsServer::Start(options.metrics_address,
                                        router->metrics_.registry()));
  Router* const raw = router.get();
  if (options.discovery) {
    raw->discovery_ = std::make_unique<DiscoveryWatcher>(
        options.discovery(), [raw](std::vector<std::string> addresses) {
          raw->fleet_->SetAddresses(std::move(addresses));
        });
  }
  raw->fleet_->Start([raw](bool ready) { raw->SetReady(ready); },
                     [raw] { raw->registry_.EndExpired(MonotonicNow()); });
  return router;
}

Router::Router(const RouterOptions& options,
               std::unique_ptr<Tokenizer> tokenizer,
               std::unique_ptr<RoutingPolicy> policy)
    : tokenizer_(std::move(tokenizer)),
      policy_(std::move(policy)),
      random_(options.random_seed),
      admission_(std::make_unique<Admission>(options.admission)) {
  WorkerFleetOptions fleet = options.fleet;
  if (tokenizer_ != nullptr) fleet.min_vocab_size = tokenizer_->vocab_size();
  fleet.client.session.shared_work = &shared_work_;
  fleet_ = std::make_unique<WorkerFleet>(fleet, *policy_, &metrics_, &random_);
  CallContext context;
  context.fleet = fleet_.get();
  context.admission = admission_.get();
  context.registry = &registry_;
  context.metrics = &metrics_;
  context.random = &random_;
  context.shared_work = &shared_work_;
  context.tokenizer = tokenizer_.get();
  context.resume = options.resume;
  service_ = std::make_unique<GenerationService>(context, options.service);
}

Router::~Router() {
  {
    absl::MutexLock lock(&ready_mutex_);
    leaving_ = true;
  }
  discovery_.reset();
  // Calls first, then the workers they use; the server object last, since the
  // fleet reports to it until it is gone.
  service_->StartDraining();
  registry_.EndAll(LeftOverError);
  if (server_ != nullptr) server_->Shutdown(absl::Now() + kFlushTime);
  fleet_.reset();
}

void Router::SetReady(bool ready) {
  absl::MutexLock lock(&ready_mutex_);
  if (leaving_) return;
  LOG(INFO) << LogLine("readiness", {{"ready", ready ? "true" : "false"}});
  server_->SetReady(ready);
}

void Router::Drain(absl::Duration delay, absl::Duration timeout) {
  {
    absl::MutexLock lock(&ready_mutex_);
    leaving_ = true;
    server_->SetReady(false);
  }
  LOG(INFO) << LogLine("drain", {{"running", registry_.size()}});
  absl::SleepFor(delay);
  // The server stays open: a call that comes now is told UNAVAILABLE DRAINING,
  // while one that meets a closing gRPC server may be told CANCELLED, which
  // clients do not retry.
  service_->StartDraining();
  if (!registry_.WaitUntilEmpty(timeout)) {
    LOG(WARNING) << LogLine("drain_timeout", {{"running", registry_.size()}});
    registry_.EndAll(LeftOverError);
  }
  server_->Shutdown(absl::Now() + kFlushTime);
}

}  // namespace blockserve
