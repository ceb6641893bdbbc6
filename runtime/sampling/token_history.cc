#include "runtime/sampling/token_history.h"

namespace blockserve {

TokenHistory::TokenHistory(absl::Span<const int32_t> prompt,
                           int max_new_tokens) {
  counts_.reserve(prompt.size() + max_new_tokens);
  places_.reserve(prompt.size() + max_new_tokens);
  for (int32_t token : prompt) Find(token).in_prompt = true;
}

void TokenHistory::AddGenerated(int32_t token) { ++Find(token).output_count; }

TokenCount& TokenHistory::Find(int32_t token) {
  const auto [place, is_new] =
      places_.try_emplace(token, static_cast<int32_t>(counts_.size()));
  if (is_new) counts_.push_back({.id = token});
  return counts_[place->second];
}

}  // namespace blockserve
