#include "parallel/nccl/call_ring.h"

#include <glog/logging.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"

namespace blockserve {

CallRing::CallRing(int capacity, absl::Duration timeout)
    : timeout_(timeout), calls_(static_cast<size_t>(capacity)) {
  CHECK_GT(capacity, 0);
}

int CallRing::next() const {
  CHECK(!full());
  return (oldest_ + num_unfinished_) % capacity();
}

void CallRing::Add(CollectiveOp op, size_t num_bytes) {
  calls_[static_cast<size_t>(next())] = {.op = op, .num_bytes = num_bytes};
  ++num_unfinished_;
  Count(op, num_bytes);
}

void CallRing::AddFinished(CollectiveOp op, size_t num_bytes) {
  Count(op, num_bytes);
}

void CallRing::Count(CollectiveOp op, size_t num_bytes) {
  ++stats_.of(op).num_calls;
  stats_.of(op).num_bytes += static_cast<int64_t>(num_bytes);
}

void CallRing::MarkReached(absl::Time now) {
  CHECK(!empty());
  absl::Time& reached = calls_[static_cast<size_t>(oldest_)].reached;
  reached = std::min(reached, now);
}

void CallRing::Finish(absl::Duration time) {
  CHECK(!empty());
  stats_.of(calls_[static_cast<size_t>(oldest_)].op).time += time;
  oldest_ = (oldest_ + 1) % capacity();
  --num_unfinished_;
}

absl::Status CallRing::CheckDeadline(absl::Time now) const {
  if (empty()) return absl::OkStatus();
  const Call& call = calls_[static_cast<size_t>(oldest_)];
  if (now - call.reached <= timeout_) return absl::OkStatus();
  return absl::DeadlineExceededError(absl::StrCat(
      std::string(NameOf(call.op)), " of ", call.num_bytes,
      " bytes: not all peers came within ", absl::FormatDuration(timeout_)));
}

}  // namespace blockserve
