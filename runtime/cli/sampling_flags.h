// Sampling flags of `generate`, named as the fields of SamplingParams in
// proto/blockserve/v1/generation.proto.
#ifndef BLOCKSERVE_RUNTIME_CLI_SAMPLING_FLAGS_H_
#define BLOCKSERVE_RUNTIME_CLI_SAMPLING_FLAGS_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "blockserve/v1/generation.pb.h"

namespace blockserve {

struct SamplingFlags {
  std::optional<float> temperature, top_p, min_p, presence_penalty,
      frequency_penalty, repetition_penalty;
  std::optional<int32_t> top_k, max_tokens, min_tokens, logprobs, n;
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;
  std::vector<uint32_t> stop_token_ids;
  std::vector<std::string> logit_bias;  // ID:VALUE
  bool include_stop_str_in_output = false;
  bool ignore_eos = false;
  bool keep_special_tokens = false;
};

void AddSamplingFlags(CLI::App& command, SamplingFlags& flags);

// Only what was given is set: defaults and ranges are the server's.
// INVALID_ARGUMENT for a malformed --logit_bias.
absl::StatusOr<v1::SamplingParams> ToSamplingParams(const SamplingFlags& flags);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_CLI_SAMPLING_FLAGS_H_
