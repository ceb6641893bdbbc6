#include "runtime/model/step_validation.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

// `where` is only spelled in the case of an error: a step that is valid
// allocates nothing.
struct Where {
  const char* part = "";
  size_t index = 0;
};

absl::Status Refuse(const Where& where, const std::string& what) {
  return absl::InvalidArgumentError(
      absl::StrCat(where.part, " ", where.index, ": ", what));
}

absl::Status CheckRange(const Where& where, const char* name, int64_t value,
                        int64_t min, int64_t max) {
  if (value >= min && value <= max) return absl::OkStatus();
  return Refuse(where, absl::StrCat("expected ", name, " in [", min, ", ", max,
                                    "], got ", value));
}

absl::Status CheckIds(const Where& where, const char* name,
                      absl::Span<const int32_t> ids, int vocab_size) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && ids[i] < vocab_size) continue;
    return Refuse(where, absl::StrCat(name, "[", i, "]: expected an id in [0, ",
                                      vocab_size, "), got ", ids[i]));
  }
  return absl::OkStatus();
}

absl::Status CheckPages(const Where& where, const SequenceChunk& chunk,
                        int64_t num_units, const StepRules& rules) {
  const int64_t num_pages =
      (chunk.cache_length + num_units + kPageLength - 1) / kPageLength;
  if (static_cast<int64_t>(chunk.pages.size()) < num_pages) {
    return Refuse(where, absl::StrCat("expected ", num_pages, " pages for ",
                                      chunk.cache_length, " + ", num_units,
                                      " units, got ", chunk.pages.size()));
  }
  for (int64_t i = 0; i < num_pages; ++i) {
    RETURN_IF_ERROR(CheckRange(where, "page", chunk.pages[i], 0,
                               rules.limits.num_pages - 1));
  }
  return absl::OkStatus();
}

absl::Status CheckChunk(const Where& where, const SequenceChunk& chunk,
                        const StepRules& rules) {
  const int64_t num_tokens = static_cast<int64_t>(chunk.tokens.size());
  if (num_tokens == 0 || num_tokens % rules.tokens_per_step != 0) {
    return Refuse(
        where, absl::StrCat("expected whole units of ", rules.tokens_per_step,
                            " tokens, got ", num_tokens));
  }
  const int64_t num_units = num_tokens / rules.tokens_per_step;
  if (!chunk.token_mask.empty() &&
      chunk.token_mask.size() != chunk.tokens.size()) {
    return Refuse(where, absl::StrCat("expected a token_mask of ", num_tokens,
                                      ", got ", chunk.token_mask.size()));
  }
  RETURN_IF_ERROR(CheckRange(
      where, "unit_begin", chunk.unit_begin, 0,
      std::min(rules.limits.max_units_per_sequence, rules.max_positions) -
          num_units));
  RETURN_IF_ERROR(CheckRange(where, "cache_length", chunk.cache_length, 0,
                             chunk.unit_begin));
  RETURN_IF_ERROR(
      CheckRange(where, "num_outputs", chunk.num_outputs, 0, num_units));
  RETURN_IF_ERROR(CheckPages(where, chunk, num_units, rules));
  return CheckIds(where, "tokens", chunk.tokens, rules.vocab_size);
}

absl::Status CheckRow(const Where& where, const DecodeRow& row,
                      const StepRules& rules) {
  const SampleRow& sampling = row.sampling;
  RETURN_IF_ERROR(CheckRange(where, "num_forced", sampling.num_forced, 0,
                             rules.tokens_per_step));
  RETURN_IF_ERROR(CheckRange(where, "num_logprobs", sampling.num_logprobs, -1,
                             kMaxLogprobs));
  if (static_cast<int64_t>(row.forced_tokens.size()) != sampling.num_forced) {
    return Refuse(
        where, absl::StrCat("expected ", sampling.num_forced,
                            " forced_tokens, got ", row.forced_tokens.size()));
  }
  if (!row.forced_mask.empty() &&
      row.forced_mask.size() != row.forced_tokens.size()) {
    return Refuse(where, absl::StrCat("expected a forced_mask of ",
                                      row.forced_tokens.size(), ", got ",
                                      row.forced_mask.size()));
  }
  if (sampling.bias_ids.size() != sampling.bias_values.size()) {
    return Refuse(
        where, absl::StrCat("expected ", sampling.bias_ids.size(),
                            " bias_values, got ", sampling.bias_values.size()));
  }
  const int vocab_size = rules.vocab_size;
  RETURN_IF_ERROR(
      CheckIds(where, "forced_tokens", row.forced_tokens, vocab_size));
  RETURN_IF_ERROR(
      CheckIds(where, "banned_ids", sampling.banned_ids, vocab_size));
  RETURN_IF_ERROR(CheckIds(where, "bias_ids", sampling.bias_ids, vocab_size));
  for (const TokenCount& count : sampling.history) {
    RETURN_IF_ERROR(
        CheckRange(where, "history id", count.id, 0, vocab_size - 1));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateLimits(const ModelLimits& limits) {
  const auto expect_positive = [](const char* name, int value) {
    if (value > 0) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("limits.", name, ": expected at least 1, got ", value));
  };
  RETURN_IF_ERROR(
      expect_positive("max_units_per_step", limits.max_units_per_step));
  RETURN_IF_ERROR(
      expect_positive("max_rows_per_step", limits.max_rows_per_step));
  RETURN_IF_ERROR(
      expect_positive("max_sequences_per_step", limits.max_sequences_per_step));
  RETURN_IF_ERROR(
      expect_positive("max_units_per_sequence", limits.max_units_per_sequence));
  return expect_positive("num_pages", limits.num_pages);
}

absl::Status ValidateStep(const StepInput& input, const StepRules& rules) {
  const Where step{"step", 0};
  const ModelLimits& limits = rules.limits;
  RETURN_IF_ERROR(CheckRange(step, "chunks", input.chunks.size(), 0,
                             limits.max_sequences_per_step));
  int64_t num_units = 0;
  int64_t num_outputs = 0;
  for (size_t i = 0; i < input.chunks.size(); ++i) {
    RETURN_IF_ERROR(CheckChunk({"chunk", i}, input.chunks[i], rules));
    num_units += input.chunks[i].tokens.size() / rules.tokens_per_step;
    num_outputs += input.chunks[i].num_outputs;
  }
  RETURN_IF_ERROR(
      CheckRange(step, "units", num_units, 0, limits.max_units_per_step));
  RETURN_IF_ERROR(
      CheckRange(step, "rows", input.rows.size(), 0, limits.max_rows_per_step));
  if (static_cast<int64_t>(input.rows.size()) != num_outputs) {
    return Refuse(step, absl::StrCat("expected a row for each of ", num_outputs,
                                     " outputs, got ", input.rows.size()));
  }
  if (!input.rows.empty()) {
    RETURN_IF_ERROR(CheckRange(step, "num_tokens", input.num_tokens, 1,
                               rules.tokens_per_step));
  }
  for (size_t i = 0; i < input.rows.size(); ++i) {
    RETURN_IF_ERROR(CheckRow({"row", i}, input.rows[i], rules));
  }
  return absl::OkStatus();
}

}  // namespace blockserve
