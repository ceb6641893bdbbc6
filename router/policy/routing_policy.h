// Which worker gets the next request.
#ifndef BLOCKSERVE_ROUTER_POLICY_ROUTING_POLICY_H_
#define BLOCKSERVE_ROUTER_POLICY_ROUTING_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace blockserve {

// A worker that may be picked.
struct WorkerCandidate {
  int worker = 0;                  // index in the worker table
  int64_t outstanding_blocks = 0;  // dispatched and not ended
};

// What varies from pick to pick; passed in, so that a policy has no state.
struct PickContext {
  uint64_t sequence = 0;  // counts picks
  uint64_t random = 0;    // 64 random bits
};

// Stateless and thread-safe.
class RoutingPolicy {
 public:
  virtual ~RoutingPolicy() = default;

  // As in the flag --policy and the metric's label.
  virtual absl::string_view name() const = 0;
  // An index into `candidates`, which is not empty.
  virtual size_t Pick(absl::Span<const WorkerCandidate> candidates,
                      const PickContext& context) const = 0;
};

// "least_outstanding", "power_of_two" or "round_robin". INVALID_ARGUMENT names
// them for any other.
absl::StatusOr<std::unique_ptr<RoutingPolicy>> CreateRoutingPolicy(
    absl::string_view name);

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_POLICY_ROUTING_POLICY_H_
