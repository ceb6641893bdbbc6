// Divides a budget among those who ask for parts of it.
#ifndef BLOCKSERVE_RUNTIME_SCHEDULER_FAIR_SHARE_H_
#define BLOCKSERVE_RUNTIME_SCHEDULER_FAIR_SHARE_H_

#include "absl/types/span.h"

namespace blockserve {

// Max-min fair: no one gets more than it demands, and nobody could get more
// without taking from someone who has no more than it. What does not divide
// evenly goes to the first. All of `capacity` >= 0 is given out as long as
// there is demand.
//   demands, grants: the same length; demands >= 0
void ShareFairly(absl::Span<const int> demands, int capacity,
                 absl::Span<int> grants);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_SCHEDULER_FAIR_SHARE_H_
