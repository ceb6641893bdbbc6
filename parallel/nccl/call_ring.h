// The calls that a device has not finished yet, and what is counted of all.
#ifndef BLOCKSERVE_PARALLEL_NCCL_CALL_RING_H_
#define BLOCKSERVE_PARALLEL_NCCL_CALL_RING_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "parallel/api/communicator.h"

namespace blockserve {

// Bookkeeping only: what the device does is told to it. Calls are done in the
// order in which they were made, since a queue has one. A slot numbers a call
// in [0, capacity), for what else is kept of it. Not thread-safe; allocates at
// creation only.
class CallRing {
 public:
  CallRing(int capacity, absl::Duration timeout);

  int capacity() const { return static_cast<int>(calls_.size()); }
  bool empty() const { return num_unfinished_ == 0; }
  bool full() const { return num_unfinished_ == capacity(); }

  // The slot that the next Add fills; must not be full.
  int next() const;
  void Add(CollectiveOp op, size_t num_bytes);
  // Counts a call that needs nothing of the device.
  void AddFinished(CollectiveOp op, size_t num_bytes) { Count(op, num_bytes); }
  // Adds several calls as one: `calls` are what is counted.
  void AddReplay(const CommunicatorStats& calls);

  // The slot of the oldest unfinished call; must not be empty.
  int oldest() const { return oldest_; }
  // The device has come to the oldest call by `now`: from then on it is the
  // peers that it waits for.
  void MarkReached(absl::Time now);
  // The oldest call is done and took `time` on the device.
  void Finish(absl::Duration time);

  // DEADLINE_EXCEEDED, naming the op, if the oldest call has waited for its
  // peers for longer than the timeout.
  absl::Status CheckDeadline(absl::Time now) const;

  const CommunicatorStats& stats() const { return stats_; }

 private:
  struct Call {
    CollectiveOp op = CollectiveOp::kBarrier;
    size_t num_bytes = 0;
    int64_t num_replayed = -1;  // calls; -1: no replay
    absl::Time reached = absl::InfiniteFuture();
  };

  void Count(CollectiveOp op, size_t num_bytes);

  const absl::Duration timeout_;
  std::vector<Call> calls_;
  int oldest_ = 0;
  int num_unfinished_ = 0;
  CommunicatorStats stats_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_NCCL_CALL_RING_H_
