#include "router/policy/power_of_two.h"

namespace blockserve {

size_t PowerOfTwoPolicy::Pick(absl::Span<const WorkerCandidate> candidates,
                              const PickContext& context) const {
  if (candidates.size() == 1) return 0;
  const uint32_t low = static_cast<uint32_t>(context.random);
  const uint32_t high = static_cast<uint32_t>(context.random >> 32);
  const size_t first = low % candidates.size();
  // One of the others: the two always differ.
  const size_t second =
      (first + 1 + high % (candidates.size() - 1)) % candidates.size();
  return candidates[second].outstanding_blocks <
                 candidates[first].outstanding_blocks
             ? second
             : first;
}

}  // namespace blockserve
