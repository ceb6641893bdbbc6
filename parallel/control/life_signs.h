// Whether the other end of a stream is there, and hears.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_LIFE_SIGNS_H_
#define BLOCKSERVE_PARALLEL_CONTROL_LIFE_SIGNS_H_

#include <cstdint>
#include <deque>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "blockserve/group/v1/group.pb.h"

namespace blockserve {

// Each end sends numbered heartbeats and the last number it has heard. An end
// is lost if nothing came from it for `timeout`, or if it has not confirmed a
// heartbeat that is `timeout` old: then it does not hear, though it is heard.
// Pure; times are arguments.
class LifeSigns {
 public:
  LifeSigns(absl::Duration interval, absl::Duration timeout, absl::Time now)
      : interval_(interval),
        timeout_(timeout),
        next_beat_(now),
        last_heard_(now) {}

  bool IsBeatDue(absl::Time now) const { return now >= next_beat_; }
  // The next heartbeat, to be sent now.
  group::v1::Heartbeat Beat(absl::Time now);

  // Any frame is a sign of life.
  void OnFrame(absl::Time now) { last_heard_ = now; }
  void OnHeartbeat(const group::v1::Heartbeat& beat);

  // DEADLINE_EXCEEDED, with what is missing for how long, if the other end is
  // lost.
  absl::Status Check(absl::Time now) const;
  // When IsBeatDue or Check may change if nothing comes.
  absl::Time NextChange() const;

  absl::Duration SilentFor(absl::Time now) const { return now - last_heard_; }

 private:
  struct Sent {
    uint64_t sequence;
    absl::Time at;
  };

  const absl::Duration interval_;
  const absl::Duration timeout_;
  absl::Time next_beat_;
  absl::Time last_heard_;
  uint64_t last_sequence_ = 0;
  uint64_t heard_ = 0;            // the largest sequence of the other end
  std::deque<Sent> unconfirmed_;  // oldest first; at most timeout / interval
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_LIFE_SIGNS_H_
