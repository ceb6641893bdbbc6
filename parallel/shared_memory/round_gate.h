// How ranks pass from round to round of a Region together.
#ifndef BLOCKSERVE_PARALLEL_SHARED_MEMORY_ROUND_GATE_H_
#define BLOCKSERVE_PARALLEL_SHARED_MEMORY_ROUND_GATE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "parallel/api/communicator.h"
#include "parallel/shared_memory/region.h"

namespace blockserve {

// What a rank calls, to be compared with what its peers call.
struct CallCode {
  CollectiveOp op = CollectiveOp::kBarrier;
  int root = 0;
  size_t num_bytes = 0;
};

// One rank's way through the rounds: in round k it writes its area k, comes to
// the gate, waits there for all peers, and then reads their areas k.
//
// There are two areas per rank: one that is written in round k was last read in
// round k - 2, and who has come to gate k - 1 has done that reading. So a round
// costs one wait, whatever it carries.
//
// Used by one thread at a time, but for Break.
class RoundGate {
 public:
  // A wait first looks again and again for `spin`, then sleeps in the kernel.
  RoundGate(const Region& region, int rank, absl::Duration timeout,
            absl::Duration spin);
  // Peers that wait for this rank hear that it does not come any more.
  ~RoundGate();

  RoundGate(const RoundGate&) = delete;
  RoundGate& operator=(const RoundGate&) = delete;

  // The round whose areas are to be written now.
  uint32_t round() const { return round_; }
  std::byte* area(int rank) const { return region_.area(rank, round_); }

  // Comes to the gate and waits for all peers. Then round() is still the same:
  // its areas may be read until NextRound.
  // DEADLINE_EXCEEDED: a peer has not come in time; UNAVAILABLE: one has left
  // or given up; INTERNAL: one calls something else.
  absl::Status Pass(const CallCode& call);
  void NextRound() { ++round_; }

  // Gives up for the whole group: every rank that waits or will wait gets an
  // error. Any thread; idempotent.
  void Break();

 private:
  absl::Status Await(int peer) const;
  bool HasCome(uint32_t state) const;
  // UNAVAILABLE names a peer that will never come to this round.
  absl::Status CheckNobodyLeft() const;
  absl::Status GoneError(int peer, uint32_t state) const;
  absl::Status CheckSameCall(int peer, uint64_t call) const;

  const Region region_;
  const int rank_;
  const std::chrono::nanoseconds timeout_;
  const std::chrono::nanoseconds spin_;
  uint32_t round_ = 1;
};

// How long to spin for `size` ranks on this machine: not at all if they are
// more than the cores this process may use, since the peer then needs this one.
absl::Duration SpinFor(int size);

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_SHARED_MEMORY_ROUND_GATE_H_
