#include "router/worker_table.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

namespace blockserve {
namespace {

int CountHealthy(const std::vector<WorkerTable::Row>& rows) {
  return static_cast<int>(std::count_if(
      rows.begin(), rows.end(),
      [](const auto& row) { return row.health == WorkerHealth::kHealthy; }));
}

}  // namespace

int WorkerTable::Add(std::string id) {
  absl::MutexLock lock(&mutex_);
  Row row;
  row.id = std::move(id);
  rows_.push_back(std::move(row));
  return static_cast<int>(rows_.size()) - 1;
}

int WorkerTable::SetHealth(int worker, WorkerHealth health) {
  absl::MutexLock lock(&mutex_);
  rows_.at(worker).health = health;
  return CountHealthy(rows_);
}

std::optional<int> WorkerTable::Acquire(const RoutingPolicy& policy,
                                        int64_t blocks,
                                        std::optional<int> excluded,
                                        uint64_t random) {
  absl::MutexLock lock(&mutex_);
  std::vector<WorkerCandidate> candidates;
  candidates.reserve(rows_.size());
  for (size_t i = 0; i < rows_.size(); ++i) {
    const int worker = static_cast<int>(i);
    if (rows_[i].health != WorkerHealth::kHealthy || excluded == worker) {
      continue;
    }
    candidates.push_back({worker, rows_[i].outstanding_blocks});
  }
  if (candidates.empty()) return std::nullopt;
  const size_t picked = policy.Pick(candidates, {num_picks_++, random});
  CHECK_LT(picked, candidates.size()) << policy.name();
  Row& row = rows_[candidates[picked].worker];
  row.outstanding_blocks += blocks;
  ++row.outstanding_requests;
  return candidates[picked].worker;
}

void WorkerTable::Release(int worker, int64_t blocks) {
  absl::MutexLock lock(&mutex_);
  Row& row = rows_.at(worker);
  row.outstanding_blocks -= blocks;
  --row.outstanding_requests;
  CHECK_GE(row.outstanding_blocks, 0) << row.id;
  CHECK_GE(row.outstanding_requests, 0) << row.id;
}

int WorkerTable::num_healthy() const {
  absl::MutexLock lock(&mutex_);
  return CountHealthy(rows_);
}

WorkerTable::Row WorkerTable::row(int worker) const {
  absl::MutexLock lock(&mutex_);
  return rows_.at(worker);
}

}  // namespace blockserve
