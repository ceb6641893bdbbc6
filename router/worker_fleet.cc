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
// Up to so many workers are asked again every second; more share that rate, so
// that a router does not spend itself on those that are gone.
constexpr int kFewWorkers = 16;
constexpr absl::Duration kLongestReconnect = absl::Seconds(10);

absl::string_view HealthName(WorkerHealth health) {
  switch (health) {
    case WorkerHealth::kDown:
      return "down";
    case WorkerHealth::kHealthy:
      return "healthy";
    case WorkerHealth::kDraining:
      return "draining";
    case WorkerHealth::kEjected:
      return "ejected";
    case WorkerHealth::kHalfOpen:
      return "half_open";
  }
  return "";
}

// Not under a lock, since it waits for gRPC; for the same reason not on a gRPC
// thread, which may be just calling the connection.
void End(std::shared_ptr<WorkerConnection> connection) {
  while (connection.use_count() > 1) std::this_thread::yield();
}

}  // namespace

WorkerFleet::WorkerFleet(const WorkerFleetOptions& options,
                         const RoutingPolicy& policy, RouterMetrics* metrics,
                         RandomSource* random)
    : options_(options),
      policy_(policy),
      metrics_(metrics),
      random_(random),
      table_(options.health),
      budget_(options.retry_budget) {
  if (!options_.clock) options_.clock = &MonotonicNow;
  if (!options_.connect) {
    options_.connect = [this](int worker, const std::string& address,
                              WorkerConnectionListener* listener) {
      WorkerClientOptions client = options_.client;
      client.session.address = address;
      client.reconnect.backoff.max = std::min(
          client.reconnect.backoff.max *
              std::max(1.0, 1.0 * discovery_.members().size() / kFewWorkers),
          kLongestReconnect);
      return std::make_unique<WorkerClient>(worker, client, listener);
    };
  }
  SetAddresses(options_.addresses);
  ApplyAddresses();
  ShowRetries();
}

WorkerFleet::~WorkerFleet() {
  if (!stop_.HasBeenNotified()) stop_.Notify();
  if (ticker_.joinable()) ticker_.join();
  std::map<int, std::shared_ptr<WorkerConnection>> connections;
  {
    absl::MutexLock lock(&connections_mutex_);
    connections.swap(connections_);
  }
  for (auto& [worker, connection] : connections) End(std::move(connection));
}

void WorkerFleet::Start(std::function<void(bool)> on_ready,
                        std::function<void()> on_tick) {
  on_ready_ = std::move(on_ready);
  on_tick_ = std::move(on_tick);
  ticker_ = std::thread([this] { TickUntilStopped(); });
}

void WorkerFleet::TickUntilStopped() {
  do {
    Tick();
  } while (!stop_.WaitForNotificationWithTimeout(kTickPeriod));
}

void WorkerFleet::Tick() {
  ApplyAddresses();
  for (const auto& [worker, member] : discovery_.members()) {
    connection(worker)->Tick(Now(), random_->Next());
    ShowHealth(worker);  // an ejection may be over
  }
  RemoveIdleLeavers();
  AskWaiters();
  if (on_tick_) on_tick_();
}

void WorkerFleet::SetAddresses(std::vector<std::string> addresses) {
  absl::MutexLock lock(&addresses_mutex_);
  new_addresses_ = std::move(addresses);
}

void WorkerFleet::ApplyAddresses() {
  std::optional<std::vector<std::string>> addresses;
  {
    absl::MutexLock lock(&addresses_mutex_);
    addresses = std::exchange(new_addresses_, std::nullopt);
  }
  if (!addresses.has_value()) return;
  const DiscoverySet::Changes changes = discovery_.Update(*addresses);
  for (const DiscoverySet::Member& member : changes.added) AddWorker(member);
  for (const DiscoverySet::Member& member : changes.returned) {
    table_.SetLeaving(member.worker, false);
  }
  for (const DiscoverySet::Member& member : changes.leaving) {
    LOG(INFO) << LogLine("worker_leaves",
                         {{"worker", member.id}, {"address", member.address}});
    table_.SetLeaving(member.worker, true);
  }
  if (!changes.leaving.empty() || !changes.returned.empty()) ShowReadiness();
}

void WorkerFleet::AddWorker(const DiscoverySet::Member& member) {
  LOG(INFO) << LogLine("worker_added",
                       {{"worker", member.id}, {"address", member.address}});
  table_.Add(member.worker, member.id);
  ShowWorker(member.worker);
  std::shared_ptr<WorkerConnection> connection =
      options_.connect(member.worker, member.address, this);
  absl::MutexLock lock(&connections_mutex_);
  connections_[member.worker] = std::move(connection);
}

void WorkerFleet::RemoveIdleLeavers() {
  std::vector<DiscoverySet::Member> leavers;
  for (const auto& [worker, member] : discovery_.members()) {
    if (member.leaving) leavers.push_back(member);
  }
  for (const DiscoverySet::Member& member : leavers) {
    if (!table_.RemoveIfIdle(member.worker)) continue;
    discovery_.Remove(member.worker);
    std::shared_ptr<WorkerConnection> connection;
    {
      absl::MutexLock lock(&connections_mutex_);
      connection = std::move(connections_[member.worker]);
      connections_.erase(member.worker);
    }
    End(std::move(connection));
    {
      absl::MutexLock lock(&model_mutex_);
      serves_model_.erase(member.worker);
    }
    absl::MutexLock lock(&health_mutex_);
    told_.erase(member.worker);
    metrics_->RemoveWorker(member.id);
  }
}

void WorkerFleet::Await(std::shared_ptr<WorkerWaiter> waiter) {
  absl::MutexLock lock(&waiters_mutex_);
  waiters_.push_back(std::move(waiter));
  metrics_->SetWaitingResumes(static_cast<int>(waiters_.size()));
}

void WorkerFleet::AskWaiters() {
  std::vector<std::shared_ptr<WorkerWaiter>> waiters;
  {
    absl::MutexLock lock(&waiters_mutex_);
    waiters = waiters_;
  }
  if (waiters.empty()) return;
  // They are asked without the lock, and may call Await meanwhile.
  std::vector<std::shared_ptr<WorkerWaiter>> left;
  for (auto& waiter : waiters) {
    if (!waiter->TryAgain()) left.push_back(std::move(waiter));
  }
  absl::MutexLock lock(&waiters_mutex_);
  left.insert(left.end(), waiters_.begin() + waiters.size(), waiters_.end());
  waiters_ = std::move(left);
  metrics_->SetWaitingResumes(static_cast<int>(waiters_.size()));
}

std::optional<WorkerLease> WorkerFleet::Acquire(
    int64_t blocks, absl::Span<const int> excluded) {
  const std::optional<WorkerLease> lease =
      table_.Acquire(policy_, blocks, excluded, random_->Next(), Now());
  if (lease.has_value()) {
    metrics_->Selected(policy_.name());
    ShowWorker(lease->worker);
  }
  return lease;
}

void WorkerFleet::Release(const WorkerLease& lease, int64_t blocks) {
  table_.Release(lease, blocks);
  ShowWorker(lease.worker);
}

bool WorkerFleet::StartRequest(const WorkerLease& lease, const std::string& id,
                               worker::v1::ExecuteRequest command,
                               std::shared_ptr<WorkerRequestHandler> handler) {
  const std::shared_ptr<WorkerConnection> to = connection(lease.worker);
  return to != nullptr &&
         to->StartRequest(id, std::move(command), std::move(handler));
}

void WorkerFleet::CancelRequest(const WorkerLease& lease,
                                const std::string& id) {
  const std::shared_ptr<WorkerConnection> to = connection(lease.worker);
  if (to != nullptr) to->CancelRequest(id);
}

void WorkerFleet::ReportSuccess(const WorkerLease& lease) {
  table_.OnSuccess(lease, Now());
  ShowHealth(lease.worker);
}

void WorkerFleet::ReportFailure(const WorkerLease& lease, bool group_lost) {
  ShowEjection(lease.worker, table_.OnFailure(lease, group_lost, Now()));
  ShowHealth(lease.worker);
}

bool WorkerFleet::TryBeginRetry(uint64_t cause) {
  const bool begun = budget_.TryBegin(cause, table_.num_outstanding_requests());
  ShowRetries();
  return begun;
}

void WorkerFleet::EndRetry(uint64_t cause) {
  budget_.End(cause);
  ShowRetries();
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
  if (const absl::Status status = LetIn(worker, *model); !status.ok()) {
    return status;
  }
  table_.OnConnected(worker, identity.instance_id(), identity.group_epoch());
  LOG(INFO) << LogLine("worker_connected",
                       {{"worker", worker},
                        {"worker_id", identity.worker_id()},
                        {"instance_id", identity.instance_id()},
                        {"group_epoch", identity.group_epoch()},
                        {"model", identity.model_name()}});
  return absl::OkStatus();
}

absl::Status WorkerFleet::LetIn(int worker, const ServedModel& model) {
  absl::MutexLock lock(&model_mutex_);
  const bool others =
      std::any_of(serves_model_.begin(), serves_model_.end(),
                  [](const auto& entry) { return entry.second; });
  if (others && !model_->SameModel(model)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "it serves model ", model.name, ", which is not the model ",
        model_->name, " of the other workers"));
  }
  serves_model_[worker] = true;
  model_ = model;
  return absl::OkStatus();
}

void WorkerFleet::OnLoad(int worker,
                         const worker::v1::WatchLoadResponse& load) {
  table_.OnLoad(worker, load, Now());
  ShowHealth(worker);
}

void WorkerFleet::OnReadiness(int worker, bool ready) {
  table_.OnReadiness(worker, ready);
  ShowHealth(worker);
}

void WorkerFleet::OnDown(int worker, const absl::Status& why) {
  {
    absl::MutexLock lock(&model_mutex_);
    serves_model_[worker] = false;
  }
  ShowEjection(worker, table_.OnDisconnected(
                           worker, absl::IsDeadlineExceeded(why), Now()));
  ShowHealth(worker);
  // The same trouble at every attempt is logged once.
  absl::MutexLock lock(&health_mutex_);
  const std::string error = why.ToString();
  if (std::exchange(told_[worker].last_error, error) == error) return;
  LOG(WARNING) << LogLine("worker_unreachable",
                          {{"worker", worker}, {"error", error}});
}

void WorkerFleet::ShowEjection(int worker,
                               std::optional<EjectionReason> reason) {
  if (!reason.has_value()) return;
  metrics_->Ejected(*reason);
  LOG(WARNING) << LogLine(
      "worker_ejected",
      {{"worker", worker}, {"reason", EjectionReasonName(*reason)}});
}

void WorkerFleet::ShowHealth(int worker) {
  {
    absl::MutexLock lock(&health_mutex_);
    const std::optional<WorkerTable::Row> row = table_.row(worker, Now());
    if (!row.has_value()) return;
    Told& told = told_[worker];
    if (std::exchange(told.health, row->health) == row->health) return;
    told.last_error.clear();
    LOG(INFO) << LogLine("worker_health", {{"worker", row->id},
                                           {"health", HealthName(row->health)},
                                           {"num_healthy", num_healthy()}});
    metrics_->SetWorker(*row);
  }
  ShowReadiness();
}

void WorkerFleet::ShowReadiness() {
  absl::MutexLock lock(&health_mutex_);
  const bool ready = num_healthy() > 0;
  if (std::exchange(ready_, ready) != ready && on_ready_) on_ready_(ready);
}

void WorkerFleet::ShowWorker(int worker) {
  // Under the lock, so that a worker that goes does not come back in metrics.
  absl::MutexLock lock(&health_mutex_);
  const std::optional<WorkerTable::Row> row = table_.row(worker, Now());
  if (row.has_value()) metrics_->SetWorker(*row);
}

void WorkerFleet::ShowRetries() {
  metrics_->SetRetryBudget(budget_.num_causes(),
                           budget_.Limit(table_.num_outstanding_requests()));
}

std::shared_ptr<WorkerConnection> WorkerFleet::connection(int worker) const {
  absl::MutexLock lock(&connections_mutex_);
  const auto it = connections_.find(worker);
  return it == connections_.end() ? nullptr : it->second;
}

}  // namespace blockserve
