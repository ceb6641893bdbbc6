// How often each token occurs in a sequence, for the penalties.
#ifndef BLOCKSERVE_RUNTIME_SAMPLING_TOKEN_HISTORY_H_
#define BLOCKSERVE_RUNTIME_SAMPLING_TOKEN_HISTORY_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "kernels/api/sample_args.h"

namespace blockserve {

// Kept up to date token by token; allocates at construction only.
class TokenHistory {
 public:
  // At most `max_new_tokens` are added later.
  TokenHistory(absl::Span<const int32_t> prompt, int max_new_tokens);

  void AddGenerated(int32_t token);

  // Unique ids, in order of first occurrence.
  absl::Span<const TokenCount> counts() const { return counts_; }

 private:
  TokenCount& Find(int32_t token);

  std::vector<TokenCount> counts_;
  absl::flat_hash_map<int32_t, int32_t> places_;  // in counts_
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_SAMPLING_TOKEN_HISTORY_H_
