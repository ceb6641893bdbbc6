#include "parallel/control/live_epoch.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace blockserve {

LiveEpoch::LiveEpoch(uint64_t number, const Limits& limits, absl::Time now)
    : number_(number),
      limits_(limits),
      ranks_(static_cast<size_t>(limits.world_size)) {
  for (Rank& rank : ranks_) rank.last_report = now;
}

uint64_t LiveEpoch::OldestStep() const {
  uint64_t oldest = num_plans_;
  for (const Rank& rank : ranks_) oldest = std::min(oldest, rank.last_step);
  return oldest;
}

absl::StatusOr<uint64_t> LiveEpoch::AddPlan(absl::Time now) {
  const uint64_t oldest = OldestStep();
  if (num_plans_ - oldest >=
      static_cast<uint64_t>(limits_.max_plans_in_flight)) {
    const auto behind = std::find_if(
        ranks_.begin(), ranks_.end(),
        [&](const Rank& rank) { return rank.last_step == oldest; });
    return absl::ResourceExhaustedError(
        absl::StrCat("rank ", behind - ranks_.begin(), " has reported step ",
                     oldest, " of ", num_plans_, ": at most ",
                     limits_.max_plans_in_flight, " plans may be under way"));
  }
  planned_at_.push_back(now);
  return ++num_plans_;
}

absl::Status LiveEpoch::Report(int rank, uint64_t step, absl::Time now) {
  Rank& reporter = ranks_[static_cast<size_t>(rank)];
  if (step <= reporter.last_step || step > num_plans_) {
    return absl::InternalError(absl::StrCat(
        "rank ", rank, " reports step ", step, ": expected one in [",
        reporter.last_step + 1, ", ", num_plans_, "]"));
  }
  reporter.last_step = step;
  reporter.last_report = now;
  const uint64_t unreported = num_plans_ - OldestStep();
  while (planned_at_.size() > unreported) planned_at_.pop_front();
  return absl::OkStatus();
}

std::optional<std::vector<std::string>> LiveEpoch::AddBlob(int rank,
                                                           std::string blob,
                                                           absl::Time now) {
  ranks_[static_cast<size_t>(rank)].blobs.push_back(std::move(blob));
  exchange_deadline_ =
      std::min(exchange_deadline_, now + limits_.exchange_timeout);
  for (const Rank& other : ranks_) {
    if (other.blobs.empty()) return std::nullopt;
  }
  std::vector<std::string> blobs;
  exchange_deadline_ = absl::InfiniteFuture();
  for (Rank& other : ranks_) {
    blobs.push_back(std::move(other.blobs.front()));
    other.blobs.pop_front();
    if (!other.blobs.empty()) {
      exchange_deadline_ = now + limits_.exchange_timeout;
    }
  }
  ++num_exchanges_;
  return blobs;
}

absl::Time LiveEpoch::StepDeadline(const Rank& rank) const {
  if (rank.last_step == num_plans_) return absl::InfiniteFuture();
  const size_t age = num_plans_ - rank.last_step;  // of its next plan; 1: last
  const absl::Time planned = planned_at_[planned_at_.size() - age];
  return std::max(planned, rank.last_report) + limits_.step_timeout;
}

std::vector<int> LiveEpoch::LateRanks(absl::Time now) const {
  std::vector<int> late;
  for (size_t i = 0; i < ranks_.size(); ++i) {
    const bool misses_exchange =
        now >= exchange_deadline_ && ranks_[i].blobs.empty();
    if (misses_exchange || now >= StepDeadline(ranks_[i])) {
      late.push_back(static_cast<int>(i));
    }
  }
  return late;
}

absl::Time LiveEpoch::NextDeadline() const {
  absl::Time next = exchange_deadline_;
  for (const Rank& rank : ranks_) next = std::min(next, StepDeadline(rank));
  return next;
}

}  // namespace blockserve
