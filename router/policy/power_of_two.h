// The less loaded of two workers picked at random: spreads load nearly as well
// as the least loaded of all, and routers that do not know of each other do not
// all pick the same one.
#ifndef BLOCKSERVE_ROUTER_POLICY_POWER_OF_TWO_H_
#define BLOCKSERVE_ROUTER_POLICY_POWER_OF_TWO_H_

#include "router/policy/routing_policy.h"

namespace blockserve {

class PowerOfTwoPolicy : public RoutingPolicy {
 public:
  absl::string_view name() const override { return "power_of_two"; }
  size_t Pick(absl::Span<const WorkerCandidate> candidates,
              const PickContext& context) const override;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_POLICY_POWER_OF_TWO_H_
