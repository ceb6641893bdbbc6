#include "runtime/engine/output_reader.h"

#include <glog/logging.h>

#include <cmath>

#include "absl/strings/str_cat.h"
#include "kernels/api/sample_args.h"

namespace blockserve {
namespace {

absl::Status InvalidLogits(size_t index) {
  return absl::DataLossError(
      absl::StrCat("logits must be finite with at least one token to pick, "
                   "but were not for token ",
                   index, " of the completion"));
}

}  // namespace

OutputReader::OutputReader(int tokens_per_step, int max_rows_per_step)
    : tokens_per_step_(tokens_per_step) {
  logprobs_.resize(static_cast<size_t>(tokens_per_step) * max_rows_per_step);
  for (TokenLogprobs& logprobs : logprobs_) logprobs.top.reserve(kMaxLogprobs);
}

ChunkOutcome OutputReader::Take(ActiveRequest& request,
                                const StepOutput& output, size_t row_begin,
                                int num_rows, absl::Time now) {
  if (num_rows == 0) return {};
  num_logprobs_ = 0;
  if (request.is_scoring()) {
    return TakeScored(request, output, row_begin, num_rows, now);
  }
  CHECK_EQ(num_rows, 1);
  return TakeGenerated(request, output, row_begin, now);
}

ChunkOutcome OutputReader::TakeGenerated(ActiveRequest& request,
                                         const StepOutput& output,
                                         size_t row_begin, absl::Time now) {
  ChunkOutcome outcome;
  const SequenceRow row = request.RowAfter(request.units_cached() - 1);
  const size_t token_begin = request.new_tokens().size();
  for (size_t i = row.known.size(); i < static_cast<size_t>(row.num_needed);
       ++i) {
    const size_t place = row_begin * tokens_per_step_ + i;
    const int32_t token = output.tokens[place];
    if (token == kInvalidToken) {
      outcome.status = InvalidLogits(row.position + i);
      break;
    }
    if (request.num_top_logprobs() >= 0) {
      ReadLogprobs(request, output, place, token);
    }
    request.AppendToken(token);
    if (request.sampling().IsStop(token)) {
      request.Complete(FinishReason::kStop, token);
      outcome.is_done = true;
      break;
    }
  }
  const absl::Span<const int32_t> tokens = request.new_tokens();
  for (int32_t token : tokens.subspan(row.position)) {
    request.sampling().Record(token);
  }
  if (!outcome.is_done &&
      static_cast<int>(tokens.size()) == request.max_new_tokens()) {
    request.Complete(FinishReason::kLength);
    outcome.is_done = true;
  }
  outcome.num_used_tokens = static_cast<int>(tokens.size()) - row.position;
  Deliver(request, token_begin, tokens.size() - token_begin, now);
  return outcome;
}

ChunkOutcome OutputReader::TakeScored(ActiveRequest& request,
                                      const StepOutput& output,
                                      size_t row_begin, int num_rows,
                                      absl::Time now) {
  ChunkOutcome outcome;
  const int unit_begin = request.units_cached() - num_rows;
  const size_t token_begin = request.RowAfter(unit_begin).position;
  for (int i = 0; i < num_rows && outcome.status.ok(); ++i) {
    const SequenceRow row = request.RowAfter(unit_begin + i);
    for (size_t j = 0; j < row.known.size(); ++j) {
      const size_t place = (row_begin + i) * tokens_per_step_ + j;
      if (output.tokens[place] == kInvalidToken ||
          std::isnan(output.logprobs[place])) {
        outcome.status = InvalidLogits(row.position + j);
        break;
      }
      ReadLogprobs(request, output, place, row.known[j]);
    }
  }
  outcome.num_used_tokens = static_cast<int>(num_logprobs_);
  Deliver(request, token_begin, num_logprobs_, now);
  outcome.is_done = request.units_ready() == 0;
  return outcome;
}

void OutputReader::ReadLogprobs(const ActiveRequest& request,
                                const StepOutput& output, size_t place,
                                int32_t token) {
  TokenLogprobs& logprobs = logprobs_[num_logprobs_++];
  logprobs.logprob = output.logprobs[place];
  logprobs.is_argmax = output.top_ids[place * kMaxLogprobs] == token;
  logprobs.top.clear();
  for (int k = 0; k < request.num_top_logprobs(); ++k) {
    // The vocabulary may be smaller than the number asked for.
    if (output.top_ids[place * kMaxLogprobs + k] == kInvalidToken) break;
    logprobs.top.emplace_back(output.top_ids[place * kMaxLogprobs + k],
                              output.top_logprobs[place * kMaxLogprobs + k]);
  }
}

void OutputReader::Deliver(ActiveRequest& request, size_t token_begin,
                           size_t num_tokens, absl::Time now) {
  if (num_tokens == 0) return;
  request.NoteTokens(static_cast<int>(num_tokens), now);
  request.sink().OnTokens(
      {.tokens = request.new_tokens().subspan(token_begin, num_tokens),
       .logprobs = absl::MakeConstSpan(logprobs_).first(num_logprobs_)});
}

}  // namespace blockserve
