// When to connect to a worker again.
#ifndef BLOCKSERVE_ROUTER_RECONNECT_TIMER_H_
#define BLOCKSERVE_ROUTER_RECONNECT_TIMER_H_

#include <cstdint>

#include "absl/time/time.h"
#include "router/backoff.h"

namespace blockserve {

struct ReconnectOptions {
  BackoffOptions backoff;
  // A session this long lets the next loss start with the shortest wait again;
  // a worker that crashes in a loop never gets there.
  absl::Duration steady_after = absl::Seconds(5);
};

// State only, no I/O; not thread-safe.
class ReconnectTimer {
 public:
  explicit ReconnectTimer(const ReconnectOptions& options)
      : options_(options), backoff_(options.backoff) {}

  bool IsDue(absl::Time now) const { return now >= next_attempt_; }
  void OnStarted(absl::Time now) { start_ = now; }
  // The session, or the attempt to make one, has ended.
  void OnEnded(absl::Time now, uint64_t random) {
    if (now - start_ >= options_.steady_after) backoff_.Reset();
    next_attempt_ = now + backoff_.Next(random);
  }

 private:
  const ReconnectOptions options_;
  Backoff backoff_;
  absl::Time start_ = absl::InfinitePast();
  absl::Time next_attempt_ = absl::InfinitePast();
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_RECONNECT_TIMER_H_
