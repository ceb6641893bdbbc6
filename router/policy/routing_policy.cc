#include "router/policy/routing_policy.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "router/policy/least_outstanding.h"
#include "router/policy/power_of_two.h"
#include "router/policy/round_robin.h"

namespace blockserve {
namespace {

template <typename Policy>
std::unique_ptr<RoutingPolicy> Create() {
  return std::make_unique<Policy>();
}

struct PolicyEntry {
  absl::string_view name;
  std::unique_ptr<RoutingPolicy> (*create)();
};

constexpr PolicyEntry kPolicies[] = {
    {"least_outstanding", &Create<LeastOutstandingPolicy>},
    {"power_of_two", &Create<PowerOfTwoPolicy>},
    {"round_robin", &Create<RoundRobinPolicy>},
};

}  // namespace

absl::StatusOr<std::unique_ptr<RoutingPolicy>> CreateRoutingPolicy(
    absl::string_view name) {
  std::string known;
  for (const PolicyEntry& entry : kPolicies) {
    if (entry.name == name) return entry.create();
    absl::StrAppend(&known, known.empty() ? "" : ", ", entry.name);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "a routing policy is one of ", known, ", got \"", name, "\""));
}

}  // namespace blockserve
