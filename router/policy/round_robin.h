// Each worker in turn.
#ifndef BLOCKSERVE_ROUTER_POLICY_ROUND_ROBIN_H_
#define BLOCKSERVE_ROUTER_POLICY_ROUND_ROBIN_H_

#include "router/policy/routing_policy.h"

namespace blockserve {

class RoundRobinPolicy : public RoutingPolicy {
 public:
  absl::string_view name() const override { return "round_robin"; }
  size_t Pick(absl::Span<const WorkerCandidate> candidates,
              const PickContext& context) const override;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_POLICY_ROUND_ROBIN_H_
