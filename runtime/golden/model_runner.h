// Drives Model::Step for golden checks: greedy generation by the reference's
// rules, and teacher forcing.
#ifndef BLOCKSERVE_RUNTIME_GOLDEN_MODEL_RUNNER_H_
#define BLOCKSERVE_RUNTIME_GOLDEN_MODEL_RUNNER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "runtime/golden/golden_devices.h"
#include "runtime/golden/golden_layout.h"
#include "runtime/golden/tensor_recorder.h"
#include "runtime/group/in_process_group.h"
#include "runtime/model/model.h"

namespace blockserve {

// What a runner must have room for.
struct RunnerLimits {
  int max_sequences = 1;
  int max_units_per_sequence = 1;
};

struct RunnerBackend {
  std::string name;   // "cpu"
  std::string dtype;  // "fp32" or "bf16"
  int num_ranks = 1;  // threads of this process
  GoldenDevices devices = {};
};

// What one row generated, up to where the reference would stop.
struct GreedyResult {
  std::vector<int32_t> generated;  // with what follows EOS
  int num_valid = 0;               // up to and including EOS
  bool ended = false;              // by EOS
  std::vector<float> logprobs;     // of the valid ids
  std::vector<float> gaps;         // largest minus second largest logit
};

// A token scored at index `index` of a row of blocks.
struct ScoreTarget {
  int index = 0;
  int32_t id = 0;
};

struct ScoredToken {
  float logprob = 0;
  int32_t most_likely_id = 0;
};

// One model with a cache of its own. Sequences start afresh in every call.
class ModelRunner {
 public:
  // `recorder`, if any, must outlive the runner; it then sees every step.
  static absl::StatusOr<std::unique_ptr<ModelRunner>> Create(
      const std::string& directory, const RunnerBackend& backend,
      PrefixPositions positions, const RunnerLimits& limits,
      TensorRecorder* recorder = nullptr);

  const ModelConfig& config() const { return model_->config(); }

  // FORMAT.md 6: `rows` have `row_length` given ids and then padding in front
  // to whole blocks; `max_length` counts the given ids. INVALID_ARGUMENT if it
  // leaves no room.
  absl::StatusOr<std::vector<GreedyResult>> Generate(
      absl::Span<const PaddedTokens> rows, int row_length, int max_length);

  // FORMAT.md 7: each target from the context before its block, the ids before
  // it in the block being `blocks`'. `targets` are consecutive and the first is
  // in the second block or later.
  absl::StatusOr<std::vector<ScoredToken>> Score(
      const PaddedTokens& blocks, absl::Span<const ScoreTarget> targets);

  // Runs `blocks` in one step and forces the block after each of the last
  // `num_outputs`: `following` holds those blocks' ids. For a recorder.
  absl::Status RunForced(const PaddedTokens& blocks, int num_outputs,
                         absl::Span<const int32_t> following);

  // The same with a step for the first `num_prompt_units` and one for each unit
  // that follows; each forces one block of `following`.
  absl::Status RunForcedByStep(const PaddedTokens& blocks, int num_prompt_units,
                               absl::Span<const int32_t> following);

 private:
  // One sequence in the cache.
  struct Sequence {
    int index = 0;         // of its pages
    int num_units = 0;     // run so far
    int cache_length = 0;  // of them in the cache
  };
  // New units of one sequence and how the units after them are written.
  struct Work {
    Sequence* sequence = nullptr;
    absl::Span<const int32_t> ids;
    absl::Span<const uint8_t> mask;
    std::vector<DecodeRow> rows;
  };
  struct RowOutput {
    std::vector<int32_t> ids;
    std::vector<float> logprobs;
    std::vector<int32_t> top_ids;  // two a token
    std::vector<float> top_logprobs;
  };

  ModelRunner() = default;

  // Runs everything, in as many steps as the limits ask for, and returns the
  // outputs of all rows in order.
  absl::StatusOr<std::vector<RowOutput>> Run(absl::Span<Work> work,
                                             int num_tokens);
  absl::Status RunStep(absl::Span<Work> work, int num_tokens,
                       std::vector<RowOutput>& outputs);
  // Appends a block's ids up to and including EOS; their number.
  int TakeValid(const RowOutput& output, GreedyResult& result) const;
  int UnitsOf(const Work& work) const;
  DecodeRow FreeRow() const;
  DecodeRow ForcedRow(absl::Span<const int32_t> ids,
                      absl::Span<const uint8_t> mask) const;

  std::unique_ptr<InProcessGroup> model_;
  int64_t num_steps_ = 0;
  int pages_per_sequence_ = 0;
  std::vector<int32_t> pages_;  // of all sequences
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_GOLDEN_MODEL_RUNNER_H_
