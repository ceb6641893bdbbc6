// The worker with the fewest outstanding blocks; ties go round, so that idle
// workers share the first requests.
#ifndef BLOCKSERVE_ROUTER_POLICY_LEAST_OUTSTANDING_H_
#define BLOCKSERVE_ROUTER_POLICY_LEAST_OUTSTANDING_H_

#include "router/policy/routing_policy.h"

namespace blockserve {

class LeastOutstandingPolicy : public RoutingPolicy {
 public:
  absl::string_view name() const override { return "least_outstanding"; }
  size_t Pick(absl::Span<const WorkerCandidate> candidates,
              const PickContext& context) const override;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_POLICY_LEAST_OUTSTANDING_H_
