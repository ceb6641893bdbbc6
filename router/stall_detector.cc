#include "router/stall_detector.h"

namespace blockserve {
namespace {

bool ShouldStep(const worker::v1::WatchLoadResponse& load) {
  return load.running_count() + load.waiting_count() > 0 &&
         load.state() != worker::v1::WORKER_STATE_NOT_SERVING &&
         load.state() != worker::v1::WORKER_STATE_STARTING;
}

}  // namespace

void StallDetector::OnConnected(absl::Time now) {
  load_due_ = now + stall_timeout_;
  step_due_ = absl::InfiniteFuture();
  busy_ = false;
}

void StallDetector::OnLoad(const worker::v1::WatchLoadResponse& load,
                           absl::Time now) {
  load_due_ = now + stall_timeout_;
  const bool was_busy = busy_;
  busy_ = ShouldStep(load);
  if (!busy_) {
    step_due_ = absl::InfiniteFuture();
  } else if (!was_busy || load.step_count() != step_count_) {
    step_due_ = now + stall_timeout_;
  }
  step_count_ = load.step_count();
}

absl::Status StallDetector::Check(absl::Time now) const {
  if (now >= load_due_) {
    return absl::DeadlineExceededError(
        "the worker has stopped reporting its load");
  }
  if (now >= step_due_) {
    return absl::DeadlineExceededError(
        "the worker has requests and makes no step");
  }
  return absl::OkStatus();
}

}  // namespace blockserve
