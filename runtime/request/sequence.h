// One stream of tokens in the engine: how they are cut into units, how far they
// are in the cache, and the pages they hold.
#ifndef BLOCKSERVE_RUNTIME_REQUEST_SEQUENCE_H_
#define BLOCKSERVE_RUNTIME_REQUEST_SEQUENCE_H_

#include <atomic>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "runtime/request/request.h"

namespace blockserve {

// How a model cuts tokens into units (model.h).
struct UnitLayout {
  int tokens_per_unit = 1;
  int32_t pad_token = 0;  // in front of a prompt, up to a unit's boundary

  // Entries of the cache that a sequence needs: its last unit is never fed
  // back. Both counts >= 1.
  int UnitsToCache(int num_prompt_tokens, int num_new_tokens) const {
    return NumUnits(num_prompt_tokens) + NumUnits(num_new_tokens) - 1;
  }
  int NumUnits(int num_tokens) const {
    return (num_tokens + tokens_per_unit - 1) / tokens_per_unit;
  }
};

// The row that is written after a unit.
struct SequenceRow {
  int position = 0;    // of its first token, counted from the prompt's end
  int num_needed = 0;  // tokens wanted, 1..tokens_per_unit
  absl::Span<const int32_t> known;  // its first tokens, where they are given
};

// The tokens are [padding, prompt, new]; padding fills the first unit, so that
// the new tokens start a unit. New tokens are generated one unit a step, or all
// known from the start (scoring, or resumed elsewhere). Room for all of them is
// taken at construction. Used by one thread at a time, but for RequestCancel.
class Sequence {
 public:
  enum class State { kNew, kWaiting, kRunning, kEnded };

  Sequence(const UnitLayout& layout, const GenerateRequest& request,
           absl::Time submit_time);
  Sequence(const UnitLayout& layout, const ScoreRequest& request,
           absl::Time submit_time);
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  // --- tokens -------------------------------------------------------------
  int num_padding_tokens() const { return num_padding_tokens_; }
  int num_prompt_tokens() const { return num_prompt_tokens_; }
  int num_prompt_units() const { return num_prompt_units_; }
  // Prompt and what was given of the new tokens, in whole units.
  int num_prefill_units() const { return num_prefill_units_; }
  bool is_scoring() const { return is_scoring_; }
  int max_new_tokens() const { return max_new_tokens_; }
  absl::Span<const int32_t> prompt() const;
  absl::Span<const int32_t> new_tokens() const;
  // Whole units [unit_begin, unit_end).
  absl::Span<const int32_t> UnitTokens(int unit_begin, int unit_end) const;
  void AppendToken(int32_t token);

  // --- progress -----------------------------------------------------------
  int units_to_cache() const { return units_to_cache_; }
  int units_cached() const { return units_cached_; }
  // Units that are complete and still have to be run; >= 1 until all is done.
  int units_ready() const { return units_end() - units_cached_; }
  // How many of the next `num_units` are followed by a row.
  int NumRowsAfter(int num_units) const;
  // The row after `unit`, which has one.
  SequenceRow RowAfter(int unit) const;
  void Advance(int num_units);

  // --- scheduling ---------------------------------------------------------
  State state() const { return state_; }
  void set_state(State state) { state_ = state; }
  std::vector<int32_t>& pages() { return pages_; }
  absl::Span<const int32_t> pages() const { return pages_; }
  absl::Time submit_time() const { return submit_time_; }
  absl::Time deadline() const { return deadline_; }
  absl::Time admit_time() const { return admit_time_; }
  void set_admit_time(absl::Time time) { admit_time_ = time; }

  // Asks for the end of the sequence; from any thread.
  void RequestCancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

 private:
  Sequence(const UnitLayout& layout, absl::Span<const int32_t> prompt,
           absl::Span<const int32_t> known, int max_new_tokens, bool is_scoring,
           absl::Time submit_time, absl::Time deadline);
  int units_end() const;
  int first_unit_with_row() const;

  const UnitLayout layout_;
  const bool is_scoring_;
  const int num_prompt_tokens_;
  const int num_prompt_units_;
  const int num_padding_tokens_;
  const int max_new_tokens_;
  const int units_to_cache_;
  const absl::Time submit_time_;
  const absl::Time deadline_;

  std::vector<int32_t> tokens_;  // padding, prompt, new
  int num_prefill_units_ = 0;
  int units_cached_ = 0;
  State state_ = State::kNew;
  std::vector<int32_t> pages_;
  absl::Time admit_time_ = absl::InfinitePast();
  std::atomic<bool> cancelled_{false};
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_REQUEST_SEQUENCE_H_
