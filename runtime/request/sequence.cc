#include "runtime/request/sequence.h"

#include <glog/logging.h>

#include <algorithm>

namespace blockserve {

Sequence::Sequence(const UnitLayout& layout, const GenerateRequest& request,
                   absl::Time submit_time)
    : Sequence(layout, request.prompt, request.resume_tokens,
               request.sampling.max_tokens, /*is_scoring=*/false, submit_time,
               request.deadline) {}

Sequence::Sequence(const UnitLayout& layout, const ScoreRequest& request,
                   absl::Time submit_time)
    : Sequence(layout, request.context, request.continuation,
               static_cast<int>(request.continuation.size()),
               /*is_scoring=*/true, submit_time, request.deadline) {}

Sequence::Sequence(const UnitLayout& layout, absl::Span<const int32_t> prompt,
                   absl::Span<const int32_t> known, int max_new_tokens,
                   bool is_scoring, absl::Time submit_time, absl::Time deadline)
    : layout_(layout),
      is_scoring_(is_scoring),
      num_prompt_tokens_(static_cast<int>(prompt.size())),
      num_prompt_units_(layout.NumUnits(num_prompt_tokens_)),
      num_padding_tokens_(num_prompt_units_ * layout.tokens_per_unit -
                          num_prompt_tokens_),
      max_new_tokens_(max_new_tokens),
      units_to_cache_(layout.UnitsToCache(num_prompt_tokens_, max_new_tokens)),
      submit_time_(submit_time),
      deadline_(deadline) {
  CHECK(!prompt.empty());
  CHECK_LE(static_cast<int>(known.size()), max_new_tokens);
  tokens_.reserve(num_prompt_units_ * layout.tokens_per_unit + max_new_tokens);
  tokens_.assign(num_padding_tokens_, layout.pad_token);
  tokens_.insert(tokens_.end(), prompt.begin(), prompt.end());
  tokens_.insert(tokens_.end(), known.begin(), known.end());
  num_prefill_units_ = units_end();
}

absl::Span<const int32_t> Sequence::prompt() const {
  return absl::MakeConstSpan(tokens_).subspan(num_padding_tokens_,
                                              num_prompt_tokens_);
}

absl::Span<const int32_t> Sequence::new_tokens() const {
  return absl::MakeConstSpan(tokens_).subspan(num_padding_tokens_ +
                                              num_prompt_tokens_);
}

absl::Span<const int32_t> Sequence::UnitTokens(int unit_begin,
                                               int unit_end) const {
  DCHECK_LE(unit_end, units_end());
  return absl::MakeConstSpan(tokens_).subspan(
      unit_begin * layout_.tokens_per_unit,
      (unit_end - unit_begin) * layout_.tokens_per_unit);
}

void Sequence::AppendToken(int32_t token) {
  DCHECK_LT(static_cast<int>(new_tokens().size()), max_new_tokens_);
  tokens_.push_back(token);
}

// Scoring runs all units but the last, whose tokens are only asked for;
// generation runs what is complete.
int Sequence::units_end() const {
  const int num_tokens = static_cast<int>(tokens_.size());
  return is_scoring_ ? layout_.NumUnits(num_tokens) - 1
                     : num_tokens / layout_.tokens_per_unit;
}

int Sequence::first_unit_with_row() const {
  return is_scoring_ ? num_prompt_units_ - 1 : units_end() - 1;
}

int Sequence::NumRowsAfter(int num_units) const {
  const int units_without_row =
      std::max(0, first_unit_with_row() - units_cached_);
  return std::max(0, num_units - units_without_row);
}

SequenceRow Sequence::RowAfter(int unit) const {
  DCHECK_GE(unit, first_unit_with_row());
  SequenceRow row;
  row.position = (unit + 1 - num_prompt_units_) * layout_.tokens_per_unit;
  row.num_needed =
      std::min(layout_.tokens_per_unit, max_new_tokens_ - row.position);
  row.known = new_tokens().subspan(static_cast<size_t>(row.position),
                                   static_cast<size_t>(row.num_needed));
  return row;
}

void Sequence::Advance(int num_units) {
  units_cached_ += num_units;
  DCHECK_LE(units_cached_, units_to_cache_);
}

}  // namespace blockserve
