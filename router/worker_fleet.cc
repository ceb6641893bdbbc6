#include "router/worker_fleet.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/monotonic_clock.h"
#include "runtime/serving/log_line.h"

namespace blockserve {
namespace {

constexpr absl::Duration kTickPeriod = absl::Milliseconds(20);

WorkerHealth HealthOf(worker::v1::WorkerState state) {
  switch (state) {
    case worker::v1::WORKER_STATE_SERVING:
    case worker::v1::WORKER_STATE_DEGRADED:
      return WorkerHealth::kHealthy;
    case worker::v1::WORKER_STATE_DRAINING:
      return WorkerHealth::kDraining;
    default:
      return WorkerHealth::kDown;
  }
}

absl::string_view HealthName(WorkerHealth health) {
  switch (health) {
    case WorkerHealth::kDown:
      return "down";
    case WorkerHealth::kHealthy:
      return "healthy";
    case WorkerHealth::kDraining:
      return "draining";
  }
  return "";
}

}  // namespace

WorkerFleet::WorkerFleet(const WorkerFleetOptions& options,
                         const RoutingPolicy& policy, RouterMetrics* metrics,
                         RandomSource* random)
    : options_(options), policy_(policy), metrics_(metrics), random_(random) {
  const size_t num_workers = options_.addresses.size();
  health_.assign(num_workers, WorkerHealth::kDown);
  last_error_.resize(num_workers);
  serves_model_.assign(num_workers, false);
  for (const std::string& address : options_.addresses) {
    const int worker = table_.Add(absl::StrCat("worker-", clients_.size()));
    WorkerClientOptions client = options_.client;
    client.session.address = address;
    WorkerClientListener* const listener = this;
    clients_.push_back(
        std::make_unique<WorkerClient>(worker, client, listener));
    ShowWorker(worker);
  }
}

WorkerFleet::~WorkerFleet() {
  if (!stop_.HasBeenNotified()) stop_.Notify();
  if (ticker_.joinable()) ticker_.join();
  clients_.clear();
}

void WorkerFleet::Start(std::function<void(bool)> on_ready,
                        std::function<void()> on_tick) {
  on_ready_ = std::move(on_ready);
  on_tick_ = std::move(on_tick);
  ticker_ = std::thread([this] { TickUntilStopped(); });
}

void WorkerFleet::TickUntilStopped() {
  do {
    const absl::Time now = MonotonicNow();
    for (const auto& client : clients_) client->Tick(now, random_->Next());
    if (on_tick_) on_tick_();
  } while (!stop_.WaitForNotificationWithTimeout(kTickPeriod));
}

std::optional<int> WorkerFleet::Acquire(int64_t blocks,
                                        std::optional<int> excluded) {
  const std::optional<int> worker =
      table_.Acquire(policy_, blocks, excluded, random_->Next());
  if (worker.has_value()) {
    metrics_->Selected(policy_.name());
    ShowWorker(*worker);
  }
  return worker;
}

void WorkerFleet::Release(int worker, int64_t blocks) {
  table_.Release(worker, blocks);
  ShowWorker(worker);
}

bool WorkerFleet::StartRequest(int worker, const std::string& id,
                               worker::v1::ExecuteRequest command,
                               std::shared_ptr<WorkerRequestHandler> handler) {
  return clients_.at(worker)->StartRequest(id, std::move(command),
                                           std::move(handler));
}

void WorkerFleet::CancelRequest(int worker, const std::string& id) {
  clients_.at(worker)->CancelRequest(id);
}

std::optional<ServedModel> WorkerFleet::model() const {
  absl::MutexLock lock(&model_mutex_);
  return model_;
}

absl::Status WorkerFleet::OnIdentity(
    int worker, const worker::v1::GetIdentityResponse& identity) {
  auto model = ServedModel::FromIdentity(identity);
  if (!model.ok()) return model.status();
  if (model->vocab_size < options_.min_vocab_size) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the tokenizer has ", options_.min_vocab_size,
        " tokens, but the model's vocabulary is ", model->vocab_size));
  }
  absl::MutexLock lock(&model_mutex_);
  const bool others = std::find(serves_model_.begin(), serves_model_.end(),
                                true) != serves_model_.end();
  if (others && !model_->SameModel(*model)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "it serves model ", model->name, ", which is not the model ",
        model_->name, " of the other workers"));
  }
  serves_model_[worker] = true;
  model_ = *std::move(model);
  LOG(INFO) << LogLine("worker_connected",
                       {{"worker", worker},
                        {"address", options_.addresses[worker]},
                        {"worker_id", identity.worker_id()},
                        {"instance_id", identity.instance_id()},
                        {"model", identity.model_name()}});
  return absl::OkStatus();
}

void WorkerFleet::OnLoad(int worker,
                         const worker::v1::WatchLoadResponse& load) {
  SetHealth(worker, HealthOf(load.state()));
}

void WorkerFleet::OnDown(int worker, const absl::Status& why) {
  {
    absl::MutexLock lock(&model_mutex_);
    serves_model_[worker] = false;
  }
  SetHealth(worker, WorkerHealth::kDown);
  // The same trouble at every attempt is logged once.
  absl::MutexLock lock(&health_mutex_);
  const std::string error = why.ToString();
  if (std::exchange(last_error_[worker], error) == error) return;
  LOG(WARNING) << LogLine("worker_unreachable",
                          {{"worker", worker},
                           {"address", options_.addresses[worker]},
                           {"error", error}});
}

void WorkerFleet::SetHealth(int worker, WorkerHealth health) {
  absl::MutexLock lock(&health_mutex_);
  if (std::exchange(health_[worker], health) == health) return;
  last_error_[worker].clear();
  const int num_healthy = table_.SetHealth(worker, health);
  LOG(INFO) << LogLine("worker_health", {{"worker", worker},
                                         {"health", HealthName(health)},
                                         {"num_healthy", num_healthy}});
  ShowWorker(worker);
  const bool ready = num_healthy > 0;
  if (std::exchange(ready_, ready) != ready && on_ready_) on_ready_(ready);
}

void WorkerFleet::ShowWorker(int worker) {
  metrics_->SetWorker(table_.row(worker));
}

}  // namespace blockserve
