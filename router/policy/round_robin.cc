#include "router/policy/round_robin.h"

namespace blockserve {

size_t RoundRobinPolicy::Pick(absl::Span<const WorkerCandidate> candidates,
                              const PickContext& context) const {
  return context.sequence % candidates.size();
}

}  // namespace blockserve
