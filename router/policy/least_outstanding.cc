#include "router/policy/least_outstanding.h"

namespace blockserve {

size_t LeastOutstandingPolicy::Pick(
    absl::Span<const WorkerCandidate> candidates,
    const PickContext& context) const {
  const size_t first = context.sequence % candidates.size();
  size_t best = first;
  for (size_t i = 1; i < candidates.size(); ++i) {
    const size_t at = (first + i) % candidates.size();
    if (candidates[at].outstanding_blocks <
        candidates[best].outstanding_blocks) {
      best = at;
    }
  }
  return best;
}

}  // namespace blockserve
