// What the leader keeps of the epoch that it leads.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_LIVE_EPOCH_H_
#define BLOCKSERVE_PARALLEL_CONTROL_LIVE_EPOCH_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace blockserve {

// Counts plans and who has executed them; gathers blobs. A rank is late with a
// step `step_timeout` after the step was planned, or after it reported the
// step before, if that was later: with plans ahead of execution a rank may
// take that long for each. Pure; times are arguments.
class LiveEpoch {
 public:
  struct Limits {
    int world_size = 1;
    absl::Duration step_timeout;
    absl::Duration exchange_timeout;
    int max_plans_in_flight = 256;
  };

  LiveEpoch(uint64_t number, const Limits& limits, absl::Time now);

  uint64_t number() const { return number_; }
  uint64_t last_step(int rank) const { return at(rank).last_step; }

  // The number of the next plan. RESOURCE_EXHAUSTED, naming the rank that is
  // furthest behind, if too many are unreported.
  absl::StatusOr<uint64_t> AddPlan(absl::Time now);
  // INTERNAL if `step` was not planned, or not after the rank's last one.
  absl::Status Report(int rank, uint64_t step, absl::Time now);

  // The n-th blob of a rank takes part in the n-th exchange. The blobs of all
  // ranks, if this was the last one missing.
  std::optional<std::vector<std::string>> AddBlob(int rank, std::string blob,
                                                  absl::Time now);
  uint64_t num_exchanges() const { return num_exchanges_; }  // complete ones

  // Ranks that are late with a step, or in an exchange.
  std::vector<int> LateRanks(absl::Time now) const;
  // When LateRanks may change if nothing comes.
  absl::Time NextDeadline() const;

 private:
  struct Rank {
    uint64_t last_step = 0;
    absl::Time last_report;
    std::deque<std::string> blobs;  // of exchanges that are not complete
  };

  const Rank& at(int rank) const { return ranks_[static_cast<size_t>(rank)]; }
  absl::Time StepDeadline(const Rank& rank) const;
  uint64_t OldestStep() const;

  const uint64_t number_;
  const Limits limits_;
  std::vector<Rank> ranks_;
  uint64_t num_plans_ = 0;
  // Of the plans that somebody has not reported: the last is num_plans_.
  std::deque<absl::Time> planned_at_;
  uint64_t num_exchanges_ = 0;
  absl::Time exchange_deadline_ = absl::InfiniteFuture();
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_LIVE_EPOCH_H_
