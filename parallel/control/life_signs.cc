#include "parallel/control/life_signs.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace blockserve {

group::v1::Heartbeat LifeSigns::Beat(absl::Time now) {
  next_beat_ = now + interval_;
  unconfirmed_.push_back({++last_sequence_, now});
  group::v1::Heartbeat beat;
  beat.set_sequence(last_sequence_);
  beat.set_heard(heard_);
  return beat;
}

void LifeSigns::OnHeartbeat(const group::v1::Heartbeat& beat) {
  heard_ = std::max(heard_, beat.sequence());
  while (!unconfirmed_.empty() &&
         unconfirmed_.front().sequence <= beat.heard()) {
    unconfirmed_.pop_front();
  }
}

absl::Status LifeSigns::Check(absl::Time now) const {
  if (now >= last_heard_ + timeout_) {
    return absl::DeadlineExceededError(absl::StrCat(
        "nothing heard for ", absl::FormatDuration(now - last_heard_)));
  }
  if (!unconfirmed_.empty() && now >= unconfirmed_.front().at + timeout_) {
    return absl::DeadlineExceededError(
        absl::StrCat("has heard nothing for ",
                     absl::FormatDuration(now - unconfirmed_.front().at),
                     ", though it is heard"));
  }
  return absl::OkStatus();
}

absl::Time LifeSigns::NextChange() const {
  absl::Time next = std::min(next_beat_, last_heard_ + timeout_);
  if (!unconfirmed_.empty()) {
    next = std::min(next, unconfirmed_.front().at + timeout_);
  }
  return next;
}

}  // namespace blockserve
