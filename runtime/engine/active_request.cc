#include "runtime/engine/active_request.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace blockserve {
namespace {

// The first alternative tells whether a token is the most likely one, so one is
// asked for wherever log-probabilities are.
SamplingParams WithOneAlternative(SamplingParams params) {
  if (params.logprobs >= 0) params.logprobs = std::max(1, params.logprobs);
  return params;
}

SamplingParams ScoringParams(const ScoreRequest& request) {
  SamplingParams params;
  params.temperature = 0.0f;
  params.max_tokens = static_cast<int32_t>(request.continuation.size());
  params.logprobs = std::max(1, request.top_logprobs);
  return params;
}

}  // namespace

UnitLayout LayoutOf(const ModelConfig& config) {
  return {.tokens_per_unit = config.tokens_per_step(),
          .pad_token = config.special.prompt_pad};
}

ActiveRequest::ActiveRequest(const ModelConfig& config,
                             const GenerateRequest& request,
                             std::shared_ptr<RequestSink> sink,
                             absl::Time submit_time)
    : Sequence(LayoutOf(config), request, submit_time),
      request_id_(request.request_id),
      sink_(std::move(sink)),
      sampling_(WithOneAlternative(request.sampling),
                request.sampling.seed.has_value() ? *request.sampling.seed
                                                  : RandomSeed(),
                config.special.eos, request.prompt),
      num_top_logprobs_(request.sampling.logprobs) {
  // Those of the last, unfinished unit are known tokens of the next row.
  const int num_recorded =
      (num_prefill_units() - num_prompt_units()) * config.tokens_per_step();
  for (int i = 0; i < num_recorded; ++i) {
    sampling_.Record(request.resume_tokens[i]);
  }
  result_.seed = sampling_.seed();
  result_.prompt_tokens = num_prompt_tokens();
  result_.completion_tokens = static_cast<int32_t>(new_tokens().size());
}

ActiveRequest::ActiveRequest(const ModelConfig& config,
                             const ScoreRequest& request,
                             std::shared_ptr<RequestSink> sink,
                             absl::Time submit_time)
    : Sequence(LayoutOf(config), request, submit_time),
      request_id_(request.request_id),
      sink_(std::move(sink)),
      sampling_(ScoringParams(request), /*seed=*/0, config.special.eos,
                request.context),
      num_top_logprobs_(std::max(1, request.top_logprobs)) {
  result_.prompt_tokens = num_prompt_tokens();
}

bool ActiveRequest::CompletesOnArrival() {
  if (is_scoring() || new_tokens().empty()) return false;
  const int32_t last = new_tokens().back();
  if (sampling_.IsStop(last)) {
    Complete(FinishReason::kStop, last);
  } else if (static_cast<int>(new_tokens().size()) == max_new_tokens()) {
    Complete(FinishReason::kLength);
  } else {
    return false;
  }
  return true;
}

void ActiveRequest::Complete(FinishReason reason,
                             std::optional<int32_t> stop_token) {
  result_.finish_reason = reason;
  result_.matched_stop_token = stop_token;
}

void ActiveRequest::NotePrefilled(absl::Time now) {
  result_.timings.prefill = now - admit_time();
}

void ActiveRequest::NoteTokens(int num_tokens, absl::Time now) {
  result_.completion_tokens += num_tokens;
  if (!std::exchange(has_new_tokens_, true)) {
    result_.timings.first_token = now - submit_time();
  }
}

void ActiveRequest::NoteEnd(const absl::Status& status, absl::Time now) {
  const bool was_admitted = admit_time() != absl::InfinitePast();
  result_.status = status;
  result_.timings.queue = (was_admitted ? admit_time() : now) - submit_time();
  result_.timings.total = now - submit_time();
}

}  // namespace blockserve
