// What a client may ask of sampling, and its limits (serving conventions:
// majority names, defaults and ranges).
#ifndef BLOCKSERVE_RUNTIME_REQUEST_SAMPLING_PARAMS_H_
#define BLOCKSERVE_RUNTIME_REQUEST_SAMPLING_PARAMS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace blockserve {

inline constexpr int kMaxStopTokenIds = 64;
inline constexpr int kMaxLogitBiases = 1024;
inline constexpr int kMaxTopLogprobs = 20;

struct SamplingParams {
  float temperature = 1.0f;  // [0, 2]; 0: greedy (top_k, top_p, min_p unused)
  int32_t top_k = 0;         // -1 or 0: off; else >= 1
  float top_p = 1.0f;        // (0, 1]
  float min_p = 0.0f;        // [0, 1]
  float presence_penalty = 0.0f;    // [-2, 2]
  float frequency_penalty = 0.0f;   // [-2, 2]
  float repetition_penalty = 1.0f;  // > 0, finite; counts prompt and output
  int32_t max_tokens = 16;          // new tokens, >= 1; met exactly
  int32_t min_tokens = 0;           // [0, max_tokens]: EOS and stop ids masked
  std::vector<int32_t> stop_token_ids;  // at most kMaxStopTokenIds
  bool ignore_eos = false;
  std::optional<uint64_t> seed;  // none: random per request
  int32_t logprobs = -1;         // -1: none; [0, 20] alternatives
  // Values in [-100, 100], ids unique, at most kMaxLogitBiases.
  std::vector<std::pair<int32_t, float>> logit_bias;
};

// One thing that is wrong with a request.
struct FieldViolation {
  std::string field;
  std::string description;  // expected and got
};

// All violations, not only the first. `vocab_size` bounds token ids.
std::vector<FieldViolation> ValidateSamplingParams(const SamplingParams& params,
                                                   int vocab_size);

// "field: description; field: description".
std::string DescribeViolations(const std::vector<FieldViolation>& violations);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_REQUEST_SAMPLING_PARAMS_H_
