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

void CallRing::AddReplay(const CommunicatorStats& calls) {
  Call replay;
  replay.num_replayed = 0;
  for (size_t op = 0; op < calls.ops.size(); ++op) {
    replay.num_replayed += calls.ops[op].num_calls;
    stats_.ops[op].num_calls += calls.ops[op].num_calls;
    stats_.ops[op].num_bytes += calls.ops[op].num_bytes;
  }
  calls_[static_cast<size_t>(next())] = replay;
  ++num_unfinished_;
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
  const Call& call = calls_[static_cast<size_t>(oldest_)];
  if (call.num_replayed < 0) stats_.of(call.op).time += time;
  oldest_ = (oldest_ + 1) % capacity();
  --num_unfinished_;
}

absl::Status CallRing::CheckDeadline(absl::Time now) const {
  if (empty()) return absl::OkStatus();
  const Call& call = calls_[static_cast<size_t>(oldest_)];
  if (now - call.reached <= timeout_) return absl::OkStatus();
  if (call.num_replayed >= 0) {
    return absl::DeadlineExceededError(
        absl::StrCat("a step with ", call.num_replayed,
                     " collectives: not all peers came within ",
                     absl::FormatDuration(timeout_)));
  }
  return absl::DeadlineExceededError(absl::StrCat(
      std::string(NameOf(call.op)), " of ", call.num_bytes,
      " bytes: not all peers came within ", absl::FormatDuration(timeout_)));
}

}  // namespace blockserve
