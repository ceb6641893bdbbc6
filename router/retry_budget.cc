#include "router/retry_budget.h"

#include <glog/logging.h>

#include <algorithm>
#include <cmath>

namespace blockserve {
namespace {

// Apart from generations, which callers use as causes.
constexpr uint64_t kOwnCause = uint64_t{1} << 63;

}  // namespace

uint64_t RetryBudget::NewCause() {
  absl::MutexLock lock(&mutex_);
  return kOwnCause | ++num_own_causes_;
}

bool RetryBudget::TryBegin(uint64_t cause, int num_active) {
  absl::MutexLock lock(&mutex_);
  const auto it = causes_.find(cause);
  if (it != causes_.end()) {
    ++it->second;
    return true;
  }
  if (static_cast<int>(causes_.size()) >= Limit(num_active)) return false;
  causes_[cause] = 1;
  return true;
}

void RetryBudget::End(uint64_t cause) {
  absl::MutexLock lock(&mutex_);
  const auto it = causes_.find(cause);
  CHECK(it != causes_.end()) << "no retry of cause " << cause;
  if (--it->second == 0) causes_.erase(it);
}

int RetryBudget::Limit(int num_active) const {
  return std::max(options_.min_concurrent,
                  static_cast<int>(std::floor(options_.ratio * num_active)));
}

int RetryBudget::num_causes() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(causes_.size());
}

}  // namespace blockserve
