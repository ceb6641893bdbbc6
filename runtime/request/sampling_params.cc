#include "runtime/request/sampling_params.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace blockserve {
namespace {

// Collects violations; each check names its field, the range and what came.
class Checker {
 public:
  // NaN fails every comparison and so is refused with the rest.
  void InRange(absl::string_view field, float value, float low, float high) {
    if (value >= low && value <= high) return;
    Add(field, absl::StrCat("must be in [", low, ", ", high, "], got ", value));
  }

  void InRange(absl::string_view field, int32_t value, int32_t low,
               int32_t high) {
    if (value >= low && value <= high) return;
    Add(field, absl::StrCat("must be in [", low, ", ", high, "], got ", value));
  }

  void AtLeast(absl::string_view field, int32_t value, int32_t low) {
    if (value >= low) return;
    Add(field, absl::StrCat("must be >= ", low, ", got ", value));
  }

  void AtMost(absl::string_view field, size_t count, int limit) {
    if (count <= static_cast<size_t>(limit)) return;
    Add(field,
        absl::StrCat("must have at most ", limit, " entries, got ", count));
  }

  void IsToken(absl::string_view field, int32_t id, int vocab_size) {
    if (id >= 0 && id < vocab_size) return;
    Add(field,
        absl::StrCat("token ids must be in [0, ", vocab_size, "), got ", id));
  }

  void Add(absl::string_view field, std::string description) {
    violations_.push_back({std::string(field), std::move(description)});
  }

  std::vector<FieldViolation> Take() { return std::move(violations_); }

 private:
  std::vector<FieldViolation> violations_;
};

void CheckLogitBias(const SamplingParams& params, int vocab_size,
                    Checker& checker) {
  checker.AtMost("logit_bias", params.logit_bias.size(), kMaxLogitBiases);
  if (params.logit_bias.size() > kMaxLogitBiases) return;
  std::vector<int32_t> ids;
  for (const auto& [id, bias] : params.logit_bias) {
    checker.IsToken("logit_bias", id, vocab_size);
    checker.InRange("logit_bias", bias, -100.0f, 100.0f);
    ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  const auto twice = std::adjacent_find(ids.begin(), ids.end());
  if (twice != ids.end()) {
    checker.Add("logit_bias", absl::StrCat("token id ", *twice,
                                           " must be given once, got twice"));
  }
}

}  // namespace

std::vector<FieldViolation> ValidateSamplingParams(const SamplingParams& params,
                                                   int vocab_size) {
  Checker checker;
  checker.InRange("temperature", params.temperature, 0.0f, 2.0f);
  checker.AtLeast("top_k", params.top_k, -1);
  if (!(params.top_p > 0.0f && params.top_p <= 1.0f)) {
    checker.Add("top_p", absl::StrCat("must be in (0, 1], got ", params.top_p));
  }
  checker.InRange("min_p", params.min_p, 0.0f, 1.0f);
  checker.InRange("presence_penalty", params.presence_penalty, -2.0f, 2.0f);
  checker.InRange("frequency_penalty", params.frequency_penalty, -2.0f, 2.0f);
  if (!(params.repetition_penalty > 0.0f &&
        std::isfinite(params.repetition_penalty))) {
    checker.Add("repetition_penalty",
                absl::StrCat("must be > 0 and finite, got ",
                             params.repetition_penalty));
  }
  checker.AtLeast("max_tokens", params.max_tokens, 1);
  if (params.min_tokens < 0 || params.min_tokens > params.max_tokens) {
    checker.Add("min_tokens",
                absl::StrCat("must be in [0, max_tokens = ", params.max_tokens,
                             "], got ", params.min_tokens));
  }
  checker.AtMost("stop_token_ids", params.stop_token_ids.size(),
                 kMaxStopTokenIds);
  if (params.stop_token_ids.size() <= kMaxStopTokenIds) {
    for (int32_t id : params.stop_token_ids) {
      checker.IsToken("stop_token_ids", id, vocab_size);
    }
  }
  checker.InRange("logprobs", params.logprobs, -1, kMaxTopLogprobs);
  CheckLogitBias(params, vocab_size, checker);
  return checker.Take();
}

std::string DescribeViolations(const std::vector<FieldViolation>& violations) {
  std::string text;
  for (const FieldViolation& violation : violations) {
    absl::StrAppend(&text, text.empty() ? "" : "; ", violation.field, ": ",
                    violation.description);
  }
  return text;
}

}  // namespace blockserve
