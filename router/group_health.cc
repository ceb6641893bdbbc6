#include "router/group_health.h"

#include <algorithm>

namespace blockserve {
namespace {

bool SaysItServes(worker::v1::WorkerState state) {
  return state == worker::v1::WORKER_STATE_SERVING ||
         state == worker::v1::WORKER_STATE_DEGRADED;
}

}  // namespace

void GroupHealth::OnConnected(const std::string& instance_id,
                              uint64_t group_epoch) {
  renewed_ = instance_id != instance_id_ || group_epoch != group_epoch_;
  instance_id_ = instance_id;
  group_epoch_ = group_epoch;
  connected_ = true;
  ready_ = true;
  state_ = worker::v1::WORKER_STATE_UNSPECIFIED;
  BeginGeneration();
}

void GroupHealth::OnLoad(const worker::v1::WatchLoadResponse& load,
                         absl::Time now) {
  const bool serves = SaysItServes(load.state());
  // A leader that lives through a loss ceases to serve, rebuilds the group, and
  // serves again under a larger epoch. A slow reader may miss the middle.
  const bool rebuilt =
      (serves && state_ == worker::v1::WORKER_STATE_NOT_SERVING) ||
      load.group_epoch() > group_epoch_;
  group_epoch_ = std::max(group_epoch_, load.group_epoch());
  state_ = load.state();
  if (!serves) return;
  if (rebuilt || (lost_ && now >= lost_until_)) BeginGeneration();
  if (rebuilt || renewed_) Renew(now);
  renewed_ = false;
}

void GroupHealth::OnDisconnected() {
  connected_ = false;
  state_ = worker::v1::WORKER_STATE_UNSPECIFIED;
}

void GroupHealth::BeginGeneration() {
  ++generation_;
  lost_ = false;
}

void GroupHealth::Renew(absl::Time now) {
  if (ejected_) ejected_until_ = std::min(ejected_until_, now);
}

void GroupHealth::Forgive(absl::Time now) {
  while (num_ejections_ > 0 && now - forgiven_at_ >= options_.base_ejection) {
    forgiven_at_ += options_.base_ejection;
    --num_ejections_;
  }
}

void GroupHealth::OnSuccess(absl::Time now) {
  num_failures_ = 0;
  if (ejected_) {
    ejected_ = false;
    forgiven_at_ = now;
  }
}

bool GroupHealth::OnFailure(absl::Time now) {
  ++num_failures_;
  if (ejected_) return now >= ejected_until_;  // the probe failed
  Forgive(now);
  forgiven_at_ = now;  // the time in rotation without a failure begins anew
  return num_failures_ >= options_.max_consecutive_failures;
}

bool GroupHealth::OnGroupLost(absl::Time now) {
  if (lost_) return false;
  lost_ = true;
  lost_until_ = now + options_.loss_hold;
  return OnFailure(now);
}

void GroupHealth::Eject(absl::Time now) {
  ++num_ejections_;
  num_failures_ = 0;
  ejected_ = true;
  ejected_until_ = now + std::min(options_.base_ejection * num_ejections_,
                                  options_.max_ejection);
}

WorkerHealth GroupHealth::At(absl::Time now) const {
  if (!connected_) return WorkerHealth::kDown;
  if (state_ == worker::v1::WORKER_STATE_DRAINING) {
    return WorkerHealth::kDraining;
  }
  if (!SaysItServes(state_) || !ready_ || lost_) return WorkerHealth::kDown;
  if (!ejected_) return WorkerHealth::kHealthy;
  return now < ejected_until_ ? WorkerHealth::kEjected
                              : WorkerHealth::kHalfOpen;
}

}  // namespace blockserve
