// Tells a worker that hangs from one that is busy or idle.
#ifndef BLOCKSERVE_ROUTER_STALL_DETECTOR_H_
#define BLOCKSERVE_ROUTER_STALL_DETECTOR_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "blockserve/worker/v1/worker.pb.h"

namespace blockserve {

// A worker reports its load several times a second even if nothing has changed,
// and while it has requests its step count grows. So it hangs if either stops
// for `stall_timeout`. A worker that says itself that it does not serve, as one
// that rebuilds its group, need not make steps. State only, no I/O; not
// thread-safe.
class StallDetector {
 public:
  explicit StallDetector(absl::Duration stall_timeout)
      : stall_timeout_(stall_timeout) {}

  // From now on loads are expected.
  void OnConnected(absl::Time now);
  void OnLoad(const worker::v1::WatchLoadResponse& load, absl::Time now);

  // OK, or DEADLINE_EXCEEDED that says what has stopped.
  absl::Status Check(absl::Time now) const;

 private:
  const absl::Duration stall_timeout_;
  absl::Time load_due_ = absl::InfiniteFuture();
  absl::Time step_due_ = absl::InfiniteFuture();
  bool busy_ = false;
  uint64_t step_count_ = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_STALL_DETECTOR_H_
