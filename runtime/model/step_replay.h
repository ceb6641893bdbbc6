// Lets a device replay the steps that come again and again: those in which
// every sequence writes its next unit.
#ifndef BLOCKSERVE_RUNTIME_MODEL_STEP_REPLAY_H_
#define BLOCKSERVE_RUNTIME_MODEL_STEP_REPLAY_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "kernels/api/ops.h"
#include "parallel/api/rank_group.h"
#include "runtime/model/model.h"

namespace blockserve {

// Of a model that enqueues a step in three parts: what comes from the host,
// what Run encloses, what goes to the host. Without a device that replays
// (Ops::replays) nothing changes. Allocates at creation only.
class StepReplay {
 public:
  // `group` and `ops` must outlive this. `is_observed`: by an observer, who
  // wants to see every tensor of every step.
  StepReplay(const ModelLimits& limits, int tokens_per_unit, bool is_observed,
             const RankGroup& group, Ops& ops);
  // What was recorded uses the model's memory.
  ~StepReplay() { ops_.ForgetReplays(); }
  StepReplay(const StepReplay&) = delete;
  StepReplay& operator=(const StepReplay&) = delete;

  // The step to be run for `input`, which is valid: itself; or, if it is one to
  // be replayed, with units without tokens behind its own, and a row for each,
  // so that batches come in few sizes. Valid until the next Begin and as long
  // as `input`; all ranks get the same.
  StepInput Begin(const StepInput& input);

  // Enqueues the step that has begun by `enqueue`, or without it.
  //   variant: what it depends on but for the step's size, < 256
  void Run(uint32_t variant, absl::FunctionRef<void()> enqueue);

  // Waits for the group and the device. After an error nothing is replayed
  // that the group's communicator has a part in.
  absl::Status Synchronize();

  // The smallest batch that is recorded and has room for `num_sequences`; at
  // most `max_sequences`.
  static int BucketFor(int num_sequences, int max_sequences);

 private:
  const int max_sequences_;
  const bool is_enabled_;
  const RankGroup& group_;
  Ops& ops_;
  uint64_t communicator_id_ = 0;

  // Of the step that has begun.
  bool is_replayed_ = false;
  uint64_t size_key_ = 0;
  std::vector<SequenceChunk> chunks_;
  std::vector<DecodeRow> rows_;

  // A unit without tokens.
  const std::vector<int32_t> no_tokens_;
  const std::vector<uint8_t> no_mask_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_STEP_REPLAY_H_
