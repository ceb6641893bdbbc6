#include "runtime/scheduler/fair_share.h"

#include <glog/logging.h>

#include <algorithm>

namespace blockserve {

void ShareFairly(absl::Span<const int> demands, int capacity,
                 absl::Span<int> grants) {
  CHECK_EQ(demands.size(), grants.size());
  std::fill(grants.begin(), grants.end(), 0);
  int num_hungry = static_cast<int>(std::count_if(
      demands.begin(), demands.end(), [](int demand) { return demand > 0; }));
  // Every pass satisfies someone or, with a share of 1, ends the budget.
  while (capacity > 0 && num_hungry > 0) {
    const int share = std::max(1, capacity / num_hungry);
    num_hungry = 0;
    for (size_t i = 0; i < demands.size(); ++i) {
      const int part = std::min({demands[i] - grants[i], share, capacity});
      grants[i] += part;
      capacity -= part;
      if (grants[i] < demands[i]) ++num_hungry;
    }
  }
}

}  // namespace blockserve
