#include "runtime/engine/step_builder.h"

#include <algorithm>

#include "runtime/engine/active_request.h"

namespace blockserve {

StepBuilder::StepBuilder(int tokens_per_step, const ModelLimits& limits)
    : tokens_per_step_(tokens_per_step) {
  chunks_.reserve(limits.max_sequences_per_step);
  rows_.reserve(limits.max_rows_per_step);
  mask_.assign(
      static_cast<size_t>(limits.max_units_per_step + 1) * tokens_per_step, 1);
  std::fill_n(mask_.begin(), tokens_per_step - 1, 0);
}

StepInput StepBuilder::Build(absl::Span<const PlannedChunk> plan) {
  chunks_.clear();
  rows_.clear();
  num_tokens_ = 1;
  for (const PlannedChunk& planned : plan) AddChunk(planned);
  return {.chunks = chunks_, .rows = rows_, .num_tokens = num_tokens_};
}

void StepBuilder::AddChunk(const PlannedChunk& planned) {
  const Sequence& sequence = *planned.sequence;
  const int unit_begin = sequence.units_cached();
  const int unit_end = unit_begin + planned.num_units;
  SequenceChunk chunk;
  chunk.tokens = sequence.UnitTokens(unit_begin, unit_end);
  if (unit_begin == 0 && sequence.num_padding_tokens() > 0) {
    chunk.token_mask = absl::MakeConstSpan(mask_).subspan(
        tokens_per_step_ - 1 - sequence.num_padding_tokens(),
        chunk.tokens.size());
  }
  chunk.pages = sequence.pages();
  // Padding never fills a unit, so every unit takes an entry.
  chunk.unit_begin = unit_begin;
  chunk.cache_length = unit_begin;
  chunk.num_outputs = planned.num_rows;
  chunks_.push_back(chunk);
  for (int unit = unit_end - planned.num_rows; unit < unit_end; ++unit) {
    AddRow(sequence, unit);
  }
}

void StepBuilder::AddRow(const Sequence& sequence, int unit) {
  const auto& request = static_cast<const ActiveRequest&>(sequence);
  const SequenceRow row = sequence.RowAfter(unit);
  DecodeRow decode;
  decode.sampling =
      request.sampling().Row(row.position, static_cast<int>(row.known.size()));
  decode.forced_tokens = row.known;
  rows_.push_back(decode);
  num_tokens_ = std::max(num_tokens_, row.num_needed);
}

}  // namespace blockserve
