#include "router/worker_table.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

namespace blockserve {
namespace {

// Unlike the generations of any other worker.
uint64_t GlobalGeneration(int worker, const GroupHealth& health) {
  return static_cast<uint64_t>(worker) << 32 | health.generation();
}

}  // namespace

void WorkerTable::Add(int worker, std::string id) {
  absl::MutexLock lock(&mutex_);
  Worker entry{.row = {}, .health = GroupHealth(options_)};
  entry.row.id = std::move(id);
  CHECK(workers_.emplace(worker, std::move(entry)).second) << worker;
}

void WorkerTable::SetLeaving(int worker, bool leaving) {
  absl::MutexLock lock(&mutex_);
  if (Worker* found = Find(worker)) found->row.is_leaving = leaving;
}

bool WorkerTable::RemoveIfIdle(int worker) {
  absl::MutexLock lock(&mutex_);
  const auto it = workers_.find(worker);
  if (it == workers_.end()) return true;
  const Row& row = it->second.row;
  if (!row.is_leaving || row.outstanding_requests > 0) return false;
  workers_.erase(it);
  return true;
}

void WorkerTable::OnConnected(int worker, const std::string& instance_id,
                              uint64_t group_epoch) {
  absl::MutexLock lock(&mutex_);
  if (Worker* found = Find(worker)) {
    found->health.OnConnected(instance_id, group_epoch);
  }
}

void WorkerTable::OnLoad(int worker, const worker::v1::WatchLoadResponse& load,
                         absl::Time now) {
  absl::MutexLock lock(&mutex_);
  if (Worker* found = Find(worker)) found->health.OnLoad(load, now);
}

void WorkerTable::OnReadiness(int worker, bool ready) {
  absl::MutexLock lock(&mutex_);
  if (Worker* found = Find(worker)) found->health.OnReadiness(ready);
}

std::optional<EjectionReason> WorkerTable::OnDisconnected(int worker,
                                                          bool stalled,
                                                          absl::Time now) {
  absl::MutexLock lock(&mutex_);
  Worker* found = Find(worker);
  if (found == nullptr) return std::nullopt;
  std::optional<EjectionReason> reason;
  if (found->health.is_connected()) {
    const bool had_requests = found->row.outstanding_requests > 0;
    const bool too_many = had_requests && found->health.OnGroupLost(now);
    if ((stalled || too_many) && Eject(*found, now)) {
      reason = stalled ? EjectionReason::kStall : EjectionReason::kFailures;
    }
  }
  found->health.OnDisconnected();
  return reason;
}

void WorkerTable::OnSuccess(const WorkerLease& lease, absl::Time now) {
  absl::MutexLock lock(&mutex_);
  if (Worker* found = FindCurrent(lease)) found->health.OnSuccess(now);
}

std::optional<EjectionReason> WorkerTable::OnFailure(const WorkerLease& lease,
                                                     bool group_lost,
                                                     absl::Time now) {
  absl::MutexLock lock(&mutex_);
  Worker* found = FindCurrent(lease);
  if (found == nullptr) return std::nullopt;
  const bool too_many = group_lost ? found->health.OnGroupLost(now)
                                   : found->health.OnFailure(now);
  if (!too_many || !Eject(*found, now)) return std::nullopt;
  return EjectionReason::kFailures;
}

bool WorkerTable::Eject(Worker& worker, absl::Time now) {
  if (!worker.health.is_ejected()) {
    if (2 * (NumEjected() + 1) > static_cast<int>(workers_.size())) {
      return false;
    }
  }
  worker.health.Eject(now);
  return true;
}

std::vector<WorkerCandidate> WorkerTable::Candidates(
    absl::Span<const int> excluded,
    const std::function<bool(const Worker&)>& fits) {
  std::vector<WorkerCandidate> candidates;
  for (const auto& [worker, entry] : workers_) {
    if (entry.row.is_leaving || !fits(entry) ||
        std::find(excluded.begin(), excluded.end(), worker) != excluded.end()) {
      continue;
    }
    candidates.push_back({worker, entry.row.outstanding_blocks});
  }
  return candidates;
}

std::optional<WorkerLease> WorkerTable::Acquire(const RoutingPolicy& policy,
                                                int64_t blocks,
                                                absl::Span<const int> excluded,
                                                uint64_t random,
                                                absl::Time now) {
  absl::MutexLock lock(&mutex_);
  std::vector<WorkerCandidate> candidates =
      Candidates(excluded, [now](const Worker& worker) {
        const WorkerHealth health = worker.health.At(now);
        return health == WorkerHealth::kHealthy ||
               (health == WorkerHealth::kHalfOpen && !worker.probing);
      });
  if (candidates.empty()) {
    // Better a worker that may fail than none at all.
    candidates = Candidates(excluded, [now](const Worker& worker) {
      const WorkerHealth health = worker.health.At(now);
      return health == WorkerHealth::kEjected ||
             health == WorkerHealth::kHalfOpen;
    });
  }
  if (candidates.empty()) return std::nullopt;
  const size_t picked = policy.Pick(candidates, {num_picks_++, random});
  CHECK_LT(picked, candidates.size()) << policy.name();
  const int worker = candidates[picked].worker;
  Worker& entry = *Find(worker);
  entry.row.outstanding_blocks += blocks;
  ++entry.row.outstanding_requests;
  WorkerLease lease;
  lease.worker = worker;
  lease.generation = GlobalGeneration(worker, entry.health);
  lease.is_probe =
      entry.health.At(now) == WorkerHealth::kHalfOpen && !entry.probing;
  if (lease.is_probe) entry.probing = true;
  return lease;
}

void WorkerTable::Release(const WorkerLease& lease, int64_t blocks) {
  absl::MutexLock lock(&mutex_);
  Worker* found = Find(lease.worker);
  CHECK(found != nullptr) << lease.worker;
  Row& row = found->row;
  row.outstanding_blocks -= blocks;
  --row.outstanding_requests;
  CHECK_GE(row.outstanding_blocks, 0) << row.id;
  CHECK_GE(row.outstanding_requests, 0) << row.id;
  if (lease.is_probe) found->probing = false;
}

int WorkerTable::num_healthy(absl::Time now) const {
  absl::MutexLock lock(&mutex_);
  int count = 0;
  for (const auto& [worker, entry] : workers_) {
    const WorkerHealth health = entry.health.At(now);
    if (entry.row.is_leaving) continue;
    if (health == WorkerHealth::kHealthy || health == WorkerHealth::kHalfOpen) {
      ++count;
    }
  }
  return count;
}

int WorkerTable::NumEjected() const {
  return static_cast<int>(std::count_if(
      workers_.begin(), workers_.end(),
      [](const auto& entry) { return entry.second.health.is_ejected(); }));
}

int WorkerTable::num_ejected() const {
  absl::MutexLock lock(&mutex_);
  return NumEjected();
}

int WorkerTable::num_workers() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(workers_.size());
}

int WorkerTable::num_outstanding_requests() const {
  absl::MutexLock lock(&mutex_);
  int count = 0;
  for (const auto& [worker, entry] : workers_) {
    count += entry.row.outstanding_requests;
  }
  return count;
}

std::optional<WorkerTable::Row> WorkerTable::row(int worker,
                                                 absl::Time now) const {
  absl::MutexLock lock(&mutex_);
  const auto it = workers_.find(worker);
  if (it == workers_.end()) return std::nullopt;
  Row row = it->second.row;
  row.health = it->second.health.At(now);
  row.is_ejected = it->second.health.is_ejected();
  return row;
}

WorkerTable::Worker* WorkerTable::Find(int worker) {
  const auto it = workers_.find(worker);
  return it == workers_.end() ? nullptr : &it->second;
}

WorkerTable::Worker* WorkerTable::FindCurrent(const WorkerLease& lease) {
  Worker* found = Find(lease.worker);
  return found != nullptr && GlobalGeneration(lease.worker, found->health) ==
                                 lease.generation
             ? found
             : nullptr;
}

}  // namespace blockserve
