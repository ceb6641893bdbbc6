// Bounds how much work retries may add to what clients asked for.
#ifndef BLOCKSERVE_ROUTER_RETRY_BUDGET_H_
#define BLOCKSERVE_ROUTER_RETRY_BUDGET_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"

namespace blockserve {

struct RetryBudgetOptions {
  // Causes being retried at once: this share of the active requests, but never
  // fewer than min_concurrent.
  double ratio = 0.15;
  int min_concurrent = 3;
};

// Counts causes, not requests. Requests that are retried because the same group
// was lost share one cause: a group is lost once per generation, so each of its
// requests is repeated once for it, however many there are, and load is not
// multiplied; a limit on them would only end streams that could go on. A retry
// of a request that failed by itself is a cause of its own: those multiply when
// a group fails every other request. State only, no I/O. Thread-safe.
class RetryBudget {
 public:
  explicit RetryBudget(const RetryBudgetOptions& options) : options_(options) {}

  // A cause that nobody shares; never 0.
  uint64_t NewCause();

  // Begins a retry; false if there are too many. To be ended with End when the
  // retry gets its first tokens or ends.
  bool TryBegin(uint64_t cause, int num_active);
  void End(uint64_t cause);

  int Limit(int num_active) const;
  int num_causes() const;

 private:
  const RetryBudgetOptions options_;
  mutable absl::Mutex mutex_;
  uint64_t num_own_causes_ ABSL_GUARDED_BY(mutex_) = 0;
  // Retries under way.
  absl::flat_hash_map<uint64_t, int> causes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_RETRY_BUDGET_H_
