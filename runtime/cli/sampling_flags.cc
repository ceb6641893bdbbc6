#include "runtime/cli/sampling_flags.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace blockserve {

void AddSamplingFlags(CLI::App& command, SamplingFlags& flags) {
  command.add_option("--max_tokens", flags.max_tokens,
                     "New tokens, >= 1 (default 16)");
  command.add_option("--temperature", flags.temperature,
                     "0 to 2; 0 is greedy (default 1)");
  command.add_option("--top_p", flags.top_p, "0 < p <= 1 (default 1, off)");
  command.add_option("--top_k", flags.top_k, ">= 1; 0 or -1: off (default)");
  command.add_option("--min_p", flags.min_p, "0 to 1 (default 0, off)");
  command.add_option("--presence_penalty", flags.presence_penalty, "-2 to 2");
  command.add_option("--frequency_penalty", flags.frequency_penalty, "-2 to 2");
  command.add_option("--repetition_penalty", flags.repetition_penalty,
                     "> 0 (default 1, off)");
  command.add_option("--min_tokens", flags.min_tokens,
                     "No end before this many tokens (default 0)");
  command.add_option("--seed", flags.seed,
                     "The same seed gives the same text (default: random)");
  command.add_option("--stop", flags.stop, "Stop string; may be repeated");
  command
      .add_option("--stop_token_ids", flags.stop_token_ids,
                  "Ids to stop at, 1,2,3")
      ->delimiter(',');
  command.add_option("--logit_bias", flags.logit_bias,
                     "ID:VALUE; may be repeated");
  command.add_option("--logprobs", flags.logprobs,
                     "Log-probabilities with 0 to 20 alternatives");
  command.add_option("--n", flags.n, "Completions, 1 to 16 (default 1)");
  command.add_flag("--include_stop_str_in_output",
                   flags.include_stop_str_in_output,
                   "Leave the stop string in the text");
  command.add_flag("--ignore_eos", flags.ignore_eos,
                   "Go on after the end-of-text token");
  command.add_flag("--keep_special_tokens", flags.keep_special_tokens,
                   "Print special tokens");
}

absl::StatusOr<v1::SamplingParams> ToSamplingParams(
    const SamplingFlags& flags) {
  v1::SamplingParams params;
  if (flags.temperature) params.set_temperature(*flags.temperature);
  if (flags.top_p) params.set_top_p(*flags.top_p);
  if (flags.top_k) params.set_top_k(*flags.top_k);
  if (flags.min_p) params.set_min_p(*flags.min_p);
  if (flags.presence_penalty) {
    params.set_presence_penalty(*flags.presence_penalty);
  }
  if (flags.frequency_penalty) {
    params.set_frequency_penalty(*flags.frequency_penalty);
  }
  if (flags.repetition_penalty) {
    params.set_repetition_penalty(*flags.repetition_penalty);
  }
  if (flags.max_tokens) params.set_max_tokens(*flags.max_tokens);
  if (flags.min_tokens) params.set_min_tokens(*flags.min_tokens);
  if (flags.seed) params.set_seed(*flags.seed);
  if (flags.logprobs) params.set_logprobs(*flags.logprobs);
  if (flags.n) params.set_n(*flags.n);
  for (const std::string& stop : flags.stop) params.add_stop(stop);
  for (uint32_t id : flags.stop_token_ids) params.add_stop_token_ids(id);
  if (flags.include_stop_str_in_output) {
    params.set_include_stop_str_in_output(true);
  }
  if (flags.ignore_eos) params.set_ignore_eos(true);
  if (flags.keep_special_tokens) params.set_skip_special_tokens(false);
  for (const std::string& text : flags.logit_bias) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(text, absl::MaxSplits(':', 1));
    uint32_t id = 0;
    float value = 0;
    if (!absl::SimpleAtoi(parts.first, &id) ||
        !absl::SimpleAtof(parts.second, &value)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--logit_bias: expected ID:VALUE, got '", text, "'"));
    }
    (*params.mutable_logit_bias())[id] = value;
  }
  return params;
}

}  // namespace blockserve
