// Where the time of a run goes, as a reader of a benchmark thinks of it.
#ifndef BLOCKSERVE_RUNTIME_BENCH_PHASES_H_
#define BLOCKSERVE_RUNTIME_BENCH_PHASES_H_

#include <array>
#include <string_view>

#include "absl/time/time.h"
#include "kernels/profile/timed_ops.h"
#include "parallel/api/communicator.h"

namespace blockserve {

// Of rank 0. The layers of a vanilla model count as block decoder: they are
// what holds the paged cache.
enum class Phase {
  kEmbed,
  kBlockDecoderGemm,
  kBlockDecoderAttention,
  kBlockDecoderRest,
  kTokenDecoderGemm,
  kTokenDecoderAttention,
  kTokenDecoderRest,
  kHeadAndSampling,
  kCollectives,  // waiting for other ranks counts
  kScheduling    // all else: plans, requests, input and output of a step
};
inline constexpr int kNumPhases = 10;
// "embed", "block_decoder_gemm", ...
std::string_view NameOf(Phase phase);

struct PhaseTimes {
  std::array<absl::Duration, kNumPhases> times;

  absl::Duration& of(Phase phase) { return times[static_cast<int>(phase)]; }
  absl::Duration of(Phase phase) const {
    return times[static_cast<int>(phase)];
  }
  // Of all phases.
  absl::Duration total() const;
};

// `total` by phase: what `ops` (parts are numbered by StepPart) and
// `collectives` do not explain is scheduling.
PhaseTimes PhasesOf(const TimedOps::Times& ops,
                    const CommunicatorStats& collectives, absl::Duration total);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BENCH_PHASES_H_
