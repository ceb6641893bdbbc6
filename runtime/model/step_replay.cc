#include "runtime/model/step_replay.h"

#include <algorithm>

namespace blockserve {
namespace {

// Batches are powers of two up to here, and its multiples beyond: few enough
// to be recorded, and close enough that little is computed in vain.
constexpr int kGranularity = 32;

bool IsDecodeStep(const StepInput& input, size_t tokens_per_unit) {
  return std::all_of(input.chunks.begin(), input.chunks.end(),
                     [&](const SequenceChunk& chunk) {
                       return chunk.tokens.size() == tokens_per_unit &&
                              chunk.num_outputs == 1;
                     });
}

}  // namespace

StepReplay::StepReplay(const ModelLimits& limits, int tokens_per_unit,
                       bool is_observed, const RankGroup& group, Ops& ops)
    : max_sequences_(
          std::min({limits.max_sequences_per_step, limits.max_units_per_step,
                    limits.max_rows_per_step})),
      is_enabled_(ops.replays() && !is_observed),
      group_(group),
      ops_(ops),
      no_tokens_(static_cast<size_t>(tokens_per_unit), 0),
      no_mask_(static_cast<size_t>(tokens_per_unit), 0) {
  if (!is_enabled_) return;
  chunks_.reserve(static_cast<size_t>(max_sequences_));
  rows_.reserve(static_cast<size_t>(max_sequences_));
}

int StepReplay::BucketFor(int num_sequences, int max_sequences) {
  int bucket = 1;
  while (bucket < num_sequences) {
    bucket = bucket < kGranularity ? 2 * bucket : bucket + kGranularity;
  }
  return std::min(bucket, max_sequences);
}

StepInput StepReplay::Begin(const StepInput& input) {
  is_replayed_ = is_enabled_ && IsDecodeStep(input, no_tokens_.size());
  if (!is_replayed_) return input;
  const int bucket =
      BucketFor(static_cast<int>(input.chunks.size()), max_sequences_);
  size_key_ = static_cast<uint64_t>(bucket) << 32 |
              static_cast<uint64_t>(input.num_tokens) << 8;
  SequenceChunk no_unit;
  no_unit.tokens = no_tokens_;
  no_unit.token_mask = no_mask_;
  no_unit.num_outputs = 1;
  chunks_.assign(input.chunks.begin(), input.chunks.end());
  chunks_.resize(static_cast<size_t>(bucket), no_unit);
  rows_.assign(input.rows.begin(), input.rows.end());
  rows_.resize(static_cast<size_t>(bucket));
  return {.chunks = chunks_, .rows = rows_, .num_tokens = input.num_tokens};
}

void StepReplay::Run(uint32_t variant, absl::FunctionRef<void()> enqueue) {
  if (!is_replayed_) return enqueue();
  const uint64_t key = size_key_ | variant;
  Communicator* const communicator = group_.communicator;
  if (communicator == nullptr) return ops_.Replay(key, enqueue);
  if (communicator->id() != communicator_id_) {
    communicator_id_ = communicator->id();
    ops_.ForgetReplays();
  }
  communicator->RunReplay(key, [&] { ops_.Replay(key, enqueue); });
}

absl::Status StepReplay::Synchronize() {
  absl::Status status = SynchronizeGroup(group_);
  if (status.ok()) status = ops_.Synchronize();
  if (!status.ok()) ops_.ForgetReplays();
  return status;
}

}  // namespace blockserve
