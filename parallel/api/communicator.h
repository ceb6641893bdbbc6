// The collectives of a group of ranks, as a model asks for them.
#ifndef BLOCKSERVE_PARALLEL_API_COMMUNICATOR_H_
#define BLOCKSERVE_PARALLEL_API_COMMUNICATOR_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "kernels/api/tensor_view.h"

namespace blockserve {

enum class CollectiveOp {
  kAllReduce,
  kReduceScatter,
  kAllGather,
  kBroadcast,
  kBarrier
};
inline constexpr int kNumCollectiveOps = 5;
// "all_reduce", "reduce_scatter", "all_gather", "broadcast", "barrier".
std::string_view NameOf(CollectiveOp op);

// What one rank has asked for so far, by op.
struct CollectiveCount {
  int64_t num_calls = 0;
  int64_t num_bytes = 0;  // of the tensors named, not of the traffic
  // From the call until done; waiting for peers counts. Without calls that were
  // replayed: when they begin within the work around them is not known.
  absl::Duration time;
};
struct CommunicatorStats {
  std::array<CollectiveCount, kNumCollectiveOps> ops;

  CollectiveCount& of(CollectiveOp op) { return ops[static_cast<int>(op)]; }
  const CollectiveCount& of(CollectiveOp op) const {
    return ops[static_cast<int>(op)];
  }
};

// One epoch of one group. All ranks make the same calls with the same shapes in
// the same order. Calls are enqueued behind the work of the device's queue
// (kernels/api/ops.h) and may return before they are done; the tensors must
// stay alive until Synchronize.
//
// Poisoned by its first error: later calls do nothing, and Synchronize returns
// that error until the group has formed anew with another communicator. What
// the tensors hold is then undefined.
//
// Used by one thread at a time, but for Abort and error, which any thread may
// call. Nothing is allocated by calls within the limits it was created with.
//
// "Rows" of a tensor are its first extent; they are dealt to ranks by RowsOf
// (parallel/api/shard.h).
class Communicator {
 public:
  virtual ~Communicator() = default;

  // "local", "shm", "gloo", "nccl", "fake".
  virtual std::string_view name() const = 0;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  // In place: the sum over all ranks, the same bits on every rank.
  //   data: float, any shape
  virtual void AllReduce(const TensorView& data) = 0;
  // In place: this rank's rows become their sum over all ranks; the other rows
  // are left undefined. An AllReduce gives the same bits.
  //   data: float [rows, dim]
  virtual void ReduceScatter(const TensorView& data) = 0;
  // In place, one collective for all of `arrays`: each brings its own rows and
  // has all of them afterwards.
  //   arrays: any dtype, each [rows, ...] with the same rows; at most
  //   kMaxGatheredArrays
  virtual void AllGather(absl::Span<const TensorView> arrays) = 0;
  // In place: everybody gets what `root` has. Any dtype and shape.
  virtual void Broadcast(const TensorView& data, int root) = 0;
  // Done when every rank has called it.
  virtual void Barrier() = 0;

  // Calls `launch`, which enqueues work with calls of this communicator in it,
  // or, for the same key, what was recorded of such work (Ops::Replay): then it
  // makes no calls, but they run all the same. The work counts as one call
  // where a peer can be late. Replays of one communicator must not be those of
  // another, which id() tells apart: forget them before it is destroyed.
  virtual void RunReplay(uint64_t /*key*/, absl::FunctionRef<void()> launch) {
    launch();
  }
  // Another one for each whose calls can be recorded.
  virtual uint64_t id() const { return 0; }

  // Waits until everything enqueued is done. The first error, if any:
  // UNAVAILABLE (a peer is gone), DEADLINE_EXCEEDED (a peer is late), ABORTED
  // (Abort was called), INTERNAL (the library); the message names the op and,
  // where it is known, the peer.
  virtual absl::Status Synchronize() = 0;
  // The same without waiting. Any thread.
  virtual absl::Status error() const = 0;
  // Poisons with `why`, and makes a call that waits for peers return soon. Any
  // thread; idempotent.
  virtual void Abort(const absl::Status& why) = 0;

  virtual CommunicatorStats stats() const = 0;
};

inline constexpr int kMaxGatheredArrays = 8;

// What a communicator is made for.
struct CommunicatorLimits {
  // The largest tensor of a call, or the sum of an AllGather's.
  size_t max_bytes = 1 << 20;
  // How long a call may wait for its peers.
  absl::Duration timeout = absl::Seconds(10);
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_API_COMMUNICATOR_H_
