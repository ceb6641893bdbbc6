// The tokens that a step writes, with their log-probabilities.
#ifndef BLOCKSERVE_RUNTIME_MODEL_STEP_TOKENS_H_
#define BLOCKSERVE_RUNTIME_MODEL_STEP_TOKENS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/api/buffer.h"
#include "kernels/api/ops.h"
#include "kernels/api/sample_args.h"
#include "kernels/api/tensor_view.h"
#include "parallel/api/rank_group.h"
#include "runtime/layers/observer.h"
#include "runtime/layers/scratch_allocator.h"
#include "runtime/layers/step_metadata.h"
#include "runtime/model/model.h"

namespace blockserve {

// Holds the tokens on the device, where the next offset reads them, and on the
// host, where the caller does.
class StepTokens {
 public:
  // Declares its array in `metadata`, which must outlive it, as must
  // `observer`, which is shown "logits" of `vocab_size`.
  static absl::StatusOr<std::unique_ptr<StepTokens>> Create(
      const ModelLimits& limits, int tokens_per_step, int vocab_size,
      const RankGroup& group, const Observer& observer, StepMetadata& metadata,
      ScratchAllocator& scratch);

  // Takes over sampling states and forced tokens of this rank's part of the
  // rows; they have been validated, and what they borrow lives until the step
  // ends.
  void Fill(absl::Span<const DecodeRow> rows);

  // This rank's.
  int num_rows() const { return static_cast<int>(rows_.size()); }
  // int32 [num_rows, tokens_per_step] on the device: forced tokens, and those
  // sampled so far.
  TensorView tokens() const;
  // The tokens of `offset`, one every tokens_per_step. int32
  TensorView column(int offset) const;

  // Writes column `offset`.  input: T [num_rows, dim]
  void Sample(const TensorView& input, const Matrix& head, int offset);

  // Whether any rank's row wants the alternatives of its tokens.
  bool wants_alternatives() const { return wants_alternatives_; }

  // Enqueues the exchange of rows with the other ranks, one collective.
  void Exchange();
  // Enqueues the copy to the host.
  void ReadBack();
  // The first `num_rows` of all ranks' rows. Good after ReadBack and
  // Ops::Synchronize, until the next Fill.
  StepOutput output(size_t num_rows) const;

 private:
  StepTokens(const ModelLimits& limits, int tokens_per_step, int vocab_size,
             const RankGroup& group, const Observer& observer,
             StepMetadata& metadata, Ops& ops);

  // Of all ranks' rows.
  TensorView all_tokens() const;
  TensorView all_logprobs() const;
  TensorView all_top_ids() const;
  TensorView all_top_logprobs() const;

  const int tokens_per_step_;
  const int vocab_size_;
  const RankGroup& group_;
  const Observer& observer_;
  StepMetadata& metadata_;
  Ops& ops_;
  const StepMetadata::Array forced_tokens_;
  int num_all_rows_ = 0;
  ShardRange own_;  // of them, this rank's
  std::vector<SampleRow> rows_;
  bool wants_alternatives_ = false;

  Buffer logprobs_;      // float [rows, tokens_per_step]
  Buffer top_ids_;       // int32 [rows, tokens_per_step, kMaxLogprobs]
  Buffer top_logprobs_;  // float, the same
  Buffer logits_;        // float [rows, vocab_size], with an observer only

  std::vector<int32_t> host_tokens_;
  std::vector<float> host_logprobs_;
  std::vector<int32_t> host_top_ids_;
  std::vector<float> host_top_logprobs_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_STEP_TOKENS_H_
