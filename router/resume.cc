#include "router/resume.h"

#include <algorithm>

namespace blockserve {

void ResumePlan::OnDispatched(int worker) {
  ++num_dispatches_;
  dispatched_at_ = tokens_.size();
  wait_until_ = absl::InfiniteFuture();
  if (std::find(tried_.begin(), tried_.end(), worker) == tried_.end()) {
    tried_.push_back(worker);
  }
}

void ResumePlan::OnTokens(absl::Span<const uint32_t> ids) {
  if (options_.planted.forget_tokens && num_dispatches_ > 1) return;
  tokens_.insert(tokens_.end(), ids.begin(), ids.end());
}

ResumePlan::Verdict ResumePlan::OnFailed(AttemptFailure failure,
                                         absl::Time now) {
  const bool progressed = tokens_.size() > dispatched_at_;
  if (failure != AttemptFailure::kLeft || !progressed) ++num_failures_;
  if (failure == AttemptFailure::kLost) {
    if (lost_at_.has_value() && tokens_.size() <= *lost_at_) {
      return Verdict::kPoison;
    }
    if (!options_.planted.forget_losses) lost_at_ = tokens_.size();
  }
  if (now >= deadline_) return Verdict::kDeadline;
  if (num_failures_ >= options_.max_attempts) return Verdict::kGiveUp;
  if (begun() && !options_.mid_stream_resume && !restartable_) {
    return Verdict::kGiveUp;
  }
  return Verdict::kRetry;
}

void ResumePlan::BeginWait(absl::Time now) {
  if (wait_until_ == absl::InfiniteFuture()) {
    wait_until_ = now + options_.resume_timeout;
  }
}

}  // namespace blockserve
