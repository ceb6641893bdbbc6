#include "parallel/fake/call_log.h"

#include <algorithm>

namespace blockserve {

std::vector<CollectiveCall> CallLog::calls() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return calls_;
}

int64_t CallLog::CountOf(CollectiveOp op) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::count_if(
      calls_.begin(), calls_.end(),
      [op](const CollectiveCall& call) { return call.op == op; });
}

int64_t CallLog::size() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<int64_t>(calls_.size());
}

void CallLog::Clear() {
  const std::lock_guard<std::mutex> lock(mutex_);
  calls_.clear();
}

void CallLog::Add(const CollectiveCall& call) {
  const std::lock_guard<std::mutex> lock(mutex_);
  calls_.push_back(call);
}

}  // namespace blockserve
