// A model for tests of what runs models: its tokens are a hash of everything
// they may depend on, and it checks everything it is fed.
#ifndef BLOCKSERVE_RUNTIME_MODEL_FAKE_MODEL_H_
#define BLOCKSERVE_RUNTIME_MODEL_FAKE_MODEL_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "runtime/model/model.h"

namespace blockserve {

struct FakeModelOptions {
  int tokens_per_step = 4;
  int vocab_size = 1000;
  ModelLimits limits;
  // Units that a learned table of positions ends after; 0: rotary.
  int max_positions = 0;
  // About one in so many tokens is EOS; 0: none.
  int eos_period = 0;
  // Called first in every Step with its number, from 0. May block. An error is
  // what Step returns.
  std::function<absl::Status(int, const StepInput&)> before_step;
  // Whether the token at an offset of a row comes out as kInvalidToken.
  std::function<bool(const DecodeRow&, int)> is_invalid;
};

// The token at an offset depends on all earlier tokens of its sequence (and on
// which of them are padding), on bias, penalties and their history, and, unless
// greedy, on seed and position. Step allocates nothing unless a check fails.
class FakeModel final : public Model {
 public:
  static constexpr int32_t kEos = 2;
  static constexpr int32_t kPromptPad = 1;
  // Stands where a token was not computed.
  static constexpr int32_t kNotComputed = -1000;

  explicit FakeModel(FakeModelOptions options);

  const ModelConfig& config() const override { return config_; }
  const ModelLimits& limits() const override { return options_.limits; }
  // INVALID_ARGUMENT if a check fails, INTERNAL from the step after an error.
  absl::StatusOr<StepOutput> Step(const StepInput& input) override;
  std::vector<PartSize> parts() const override { return {}; }
  size_t kv_bytes_per_page() const override { return 1; }
  size_t scratch_bytes() const override { return 0; }

  // INTERNAL with the first check that failed. Not while a step runs.
  absl::Status CheckAll() const { return violation_; }
  int num_steps() const { return num_steps_; }

 private:
  // What the cache holds of one unit.
  struct Entry {
    int64_t run = -1;  // which sequence; numbered by their first chunks
    int unit = -1;
    uint64_t hash = 0;  // of all tokens up to and including the unit
  };

  absl::Status CheckStep(const StepInput& input);
  absl::Status CheckChunk(const SequenceChunk& chunk);
  absl::Status CheckPages(const SequenceChunk& chunk);
  absl::Status CheckMask(const SequenceChunk& chunk) const;
  absl::Status CheckRow(const DecodeRow& row, int num_tokens);
  Entry& EntryOf(const SequenceChunk& chunk, int unit);
  void RunChunk(const SequenceChunk& chunk);
  void WriteRow(const DecodeRow& row, uint64_t hash, int num_tokens,
                size_t index);
  void WriteLogprobs(uint64_t hash, int32_t token, size_t place);
  int32_t PickToken(uint64_t hash) const;
  int32_t SampleToken(const SampleRow& row, uint64_t hash, int offset) const;
  float LogprobOf(uint64_t hash, int32_t token) const;

  const FakeModelOptions options_;
  ModelConfig config_;
  int num_steps_ = 0;
  bool is_broken_ = false;
  absl::Status violation_;

  std::vector<Entry> entries_;  // [num_pages, kPageLength]
  std::vector<int> page_step_;  // the step a page was last seen in
  int64_t num_runs_ = 0;
  std::vector<int64_t> token_mark_;  // to find an id twice
  int64_t num_marks_ = 0;
  std::vector<uint64_t> contexts_;  // of the step's outputs

  std::vector<int32_t> tokens_;
  std::vector<float> logprobs_;
  std::vector<int32_t> top_ids_;
  std::vector<float> top_logprobs_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_FAKE_MODEL_H_
