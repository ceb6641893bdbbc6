// How many pages the KV cache gets.
#ifndef BLOCKSERVE_RUNTIME_WORKER_KV_CACHE_PLAN_H_
#define BLOCKSERVE_RUNTIME_WORKER_KV_CACHE_PLAN_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"

namespace blockserve {

struct KvCacheNeeds {
  int tokens_per_unit = 1;
  int max_sequences = 1;
  int max_context_tokens = 1;  // of one sequence
  int64_t bytes_per_page = 1;  // over all layers

  // Units of the longest sequence. Prompt and new tokens each begin a unit, so
  // a cut in the worst place costs one more.
  int MaxUnits() const;
  int PagesFor(int num_tokens) const;  // of one sequence of so many tokens
};

struct KvCachePlan {
  int num_pages = 0;
  int64_t num_bytes = 0;

  // Sequences of `num_tokens` that fit at once, whatever their number.
  int SequencesThatFit(const KvCacheNeeds& needs, int num_tokens) const {
    return num_pages / needs.PagesFor(num_tokens);
  }
};

// `requested_bytes`: as the user says, used up to what all sequences at full
// length need; none: that, or `available_bytes` if they are fewer.
// INVALID_ARGUMENT if not even one sequence of full length fits.
absl::StatusOr<KvCachePlan> PlanKvCache(const KvCacheNeeds& needs,
                                        std::optional<int64_t> requested_bytes,
                                        int64_t available_bytes);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WORKER_KV_CACHE_PLAN_H_
