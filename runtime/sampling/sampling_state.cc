#include "runtime/sampling/sampling_state.h"

#include <glog/logging.h>
#include <sys/random.h>

#include <algorithm>

namespace blockserve {
namespace {

bool HasPenalty(const SamplingParams& params) {
  return params.repetition_penalty != 1.0f ||
         params.frequency_penalty != 0.0f || params.presence_penalty != 0.0f;
}

}  // namespace

uint64_t RandomSeed() {
  uint64_t seed = 0;
  CHECK_EQ(getentropy(&seed, sizeof(seed)), 0);
  return seed;
}

SamplingState::SamplingState(const SamplingParams& params, uint64_t seed,
                             int32_t eos_token_id,
                             absl::Span<const int32_t> prompt)
    : min_tokens_(params.min_tokens) {
  if (params.temperature >= kMinTemperature) {
    row_.temperature = params.temperature;
    row_.top_k = std::max(0, params.top_k);
    row_.top_p = params.top_p;
    row_.min_p = params.min_p;
  }
  row_.repetition_penalty = params.repetition_penalty;
  row_.frequency_penalty = params.frequency_penalty;
  row_.presence_penalty = params.presence_penalty;
  row_.seed = seed;
  row_.num_logprobs = params.logprobs;

  if (!params.ignore_eos) stop_ids_.push_back(eos_token_id);
  for (int32_t id : params.stop_token_ids) {
    if (!IsStop(id)) stop_ids_.push_back(id);
  }
  for (const auto& [id, bias] : params.logit_bias) {
    bias_ids_.push_back(id);
    bias_values_.push_back(bias);
  }
  if (HasPenalty(params)) history_.emplace(prompt, params.max_tokens);
}

SampleRow SamplingState::Row(int position, int num_forced) const {
  SampleRow row = row_;
  row.position = static_cast<uint64_t>(position);
  row.num_forced = num_forced;
  row.ban_until_offset = std::max(0, min_tokens_ - position);
  if (row.ban_until_offset > 0) row.banned_ids = stop_ids_;
  row.bias_ids = bias_ids_;
  row.bias_values = bias_values_;
  if (history_.has_value()) row.history = history_->counts();
  return row;
}

void SamplingState::Record(int32_t token) {
  if (history_.has_value()) history_->AddGenerated(token);
}

bool SamplingState::IsStop(int32_t token) const {
  return std::find(stop_ids_.begin(), stop_ids_.end(), token) !=
         stop_ids_.end();
}

}  // namespace blockserve
