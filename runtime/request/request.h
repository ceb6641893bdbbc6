// A client's request as the engine sees it: token ids only.
#ifndef BLOCKSERVE_RUNTIME_REQUEST_REQUEST_H_
#define BLOCKSERVE_RUNTIME_REQUEST_REQUEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "runtime/request/sampling_params.h"

namespace blockserve {

struct TokenLogprobs {
  float logprob = 0.0f;                        // of the token itself
  bool is_argmax = false;                      // the most likely token
  std::vector<std::pair<int32_t, float>> top;  // alternatives, best first
};

enum class FinishReason { kStop, kLength };

struct RequestTimings {
  absl::Duration queue;        // submitted -> admitted
  absl::Duration prefill;      // admitted -> prompt in the cache
  absl::Duration first_token;  // submitted -> first token
  absl::Duration total;
};

// New tokens of one request after one step.
struct TokenDelta {
  absl::Span<const int32_t> tokens;          // borrowed for the call
  absl::Span<const TokenLogprobs> logprobs;  // empty unless asked for
};

struct RequestResult {
  absl::Status status;  // OK, or why the request ended early
  FinishReason finish_reason = FinishReason::kLength;
  // EOS or a stop id; it is the last token that was delivered.
  std::optional<int32_t> matched_stop_token;
  int32_t prompt_tokens = 0;
  int32_t completion_tokens = 0;
  uint64_t seed = 0;  // the one used
  RequestTimings timings;
};

// Receives a request's output on the engine's thread; must not block. OnDone
// comes exactly once, last.
class RequestSink {
 public:
  virtual ~RequestSink() = default;
  virtual void OnTokens(const TokenDelta& delta) = 0;
  virtual void OnDone(const RequestResult& result) = 0;
};

struct GenerateRequest {
  std::string request_id;  // unique among running requests
  std::vector<int32_t> prompt;
  // Tokens of this completion that were already delivered elsewhere; they count
  // as generated and are not delivered again.
  std::vector<int32_t> resume_tokens;
  SamplingParams sampling;
  absl::Time deadline = absl::InfiniteFuture();
};

// Log-probabilities of `continuation` after `context`; one OnTokens per step
// with the continuation's tokens and their log-probabilities.
struct ScoreRequest {
  std::string request_id;
  std::vector<int32_t> context;       // >= 1 token
  std::vector<int32_t> continuation;  // >= 1 token
  int32_t top_logprobs = 0;           // [0, 20]; the best one comes always
  absl::Time deadline = absl::InfiniteFuture();
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_REQUEST_REQUEST_H_
