#include "runtime/engine/request_checks.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace blockserve {
namespace {

using Violations = std::vector<FieldViolation>;

void CheckId(const std::string& request_id, Violations& violations) {
  if (request_id.empty()) {
    violations.push_back({"request_id", "must not be empty"});
  }
}

void CheckTokens(absl::string_view field, absl::Span<const int32_t> tokens,
                 int vocab_size, Violations& violations) {
  const auto outside =
      std::find_if(tokens.begin(), tokens.end(),
                   [&](int32_t id) { return id < 0 || id >= vocab_size; });
  if (outside == tokens.end()) return;
  violations.push_back(
      {std::string(field),
       absl::StrCat("token ids must be in [0, ", vocab_size, "), got ",
                    *outside, " at index ", outside - tokens.begin())});
}

void CheckNotEmpty(absl::string_view field, absl::Span<const int32_t> tokens,
                   Violations& violations) {
  if (!tokens.empty()) return;
  violations.push_back(
      {std::string(field), "must have at least one token, got none"});
}

// Whether the sequence could be held if it were alone. `what` names the sum.
void CheckLength(absl::string_view field, absl::string_view what,
                 int64_t num_prompt_tokens, int64_t num_new_tokens,
                 const RequestLimits& limits, Violations& violations) {
  const int64_t num_tokens = num_prompt_tokens + num_new_tokens;
  if (num_tokens > limits.max_context_tokens) {
    violations.push_back(
        {std::string(field),
         absl::StrCat(what, " must be <= ", limits.max_context_tokens,
                      " tokens, the context length; got ", num_prompt_tokens,
                      " + ", num_new_tokens, " = ", num_tokens)});
    return;
  }
  const int num_units = limits.layout.UnitsToCache(
      static_cast<int>(num_prompt_tokens), static_cast<int>(num_new_tokens));
  const int max_units = static_cast<int>(
      std::min(int64_t{limits.max_units_per_sequence},
               int64_t{limits.num_pages} * limits.page_length));
  if (num_units <= max_units) return;
  violations.push_back(
      {std::string(field),
       absl::StrCat(what, " of ", num_tokens, " tokens needs ", num_units,
                    " entries of the cache, which can never hold more than ",
                    max_units, " for one sequence")});
}

absl::Status ToStatus(const Violations& violations) {
  if (violations.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(DescribeViolations(violations));
}

}  // namespace

absl::Status CheckRequest(const GenerateRequest& request,
                          const RequestLimits& limits) {
  Violations violations =
      ValidateSamplingParams(request.sampling, limits.vocab_size);
  CheckId(request.request_id, violations);
  CheckNotEmpty("prompt", request.prompt, violations);
  CheckTokens("prompt", request.prompt, limits.vocab_size, violations);
  CheckTokens("resume_tokens", request.resume_tokens, limits.vocab_size,
              violations);
  const int64_t num_prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t max_tokens = request.sampling.max_tokens;
  if (max_tokens >= 1 && num_prompt >= 1) {
    CheckLength("max_tokens", "prompt + max_tokens", num_prompt, max_tokens,
                limits, violations);
  }
  const int64_t num_resumed =
      static_cast<int64_t>(request.resume_tokens.size());
  if (num_resumed > std::max(int64_t{0}, max_tokens)) {
    violations.push_back(
        {"resume_tokens", absl::StrCat("must be at most max_tokens = ",
                                       max_tokens, ", got ", num_resumed)});
  }
  return ToStatus(violations);
}

absl::Status CheckRequest(const ScoreRequest& request,
                          const RequestLimits& limits) {
  Violations violations;
  CheckId(request.request_id, violations);
  CheckNotEmpty("context", request.context, violations);
  CheckTokens("context", request.context, limits.vocab_size, violations);
  CheckNotEmpty("continuation", request.continuation, violations);
  CheckTokens("continuation", request.continuation, limits.vocab_size,
              violations);
  if (!request.context.empty() && !request.continuation.empty()) {
    CheckLength("continuation", "context + continuation",
                static_cast<int64_t>(request.context.size()),
                static_cast<int64_t>(request.continuation.size()), limits,
                violations);
  }
  if (request.top_logprobs < 0 || request.top_logprobs > kMaxTopLogprobs) {
    violations.push_back(
        {"top_logprobs", absl::StrCat("must be in [0, ", kMaxTopLogprobs,
                                      "], got ", request.top_logprobs)});
  }
  return ToStatus(violations);
}

}  // namespace blockserve
