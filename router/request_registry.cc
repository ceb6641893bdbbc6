#include "router/request_registry.h"

#include <algorithm>
#include <utility>

#include "runtime/base/monotonic_clock.h"

namespace blockserve {

void RequestRegistry::Add(const std::string& id, absl::Time deadline,
                          std::shared_ptr<ActiveRequest> request) {
  absl::MutexLock lock(&mutex_);
  entries_.emplace(id, Entry{deadline, std::move(request)});
  earliest_deadline_ = std::min(earliest_deadline_, deadline);
}

void RequestRegistry::Remove(const std::string& id,
                             const ActiveRequest* request) {
  std::shared_ptr<ActiveRequest> removed;  // destroyed after the lock
  absl::MutexLock lock(&mutex_);
  const auto [begin, end] = entries_.equal_range(id);
  for (auto it = begin; it != end; ++it) {
    if (it->second.request.get() != request) continue;
    removed = std::move(it->second.request);
    entries_.erase(it);
    if (entries_.empty()) emptied_.SignalAll();
    return;
  }
}

void RequestRegistry::End(const std::string& id, const RpcError& error) {
  std::vector<std::shared_ptr<ActiveRequest>> requests;
  {
    absl::MutexLock lock(&mutex_);
    const auto [begin, end] = entries_.equal_range(id);
    for (auto it = begin; it != end; ++it) {
      requests.push_back(it->second.request);
    }
  }
  for (const auto& request : requests) request->End(error);
}

void RequestRegistry::EndExpired(absl::Time now) {
  std::vector<std::shared_ptr<ActiveRequest>> requests;
  {
    absl::MutexLock lock(&mutex_);
    if (earliest_deadline_ >= now) return;
    earliest_deadline_ = absl::InfiniteFuture();
    for (const auto& [id, entry] : entries_) {
      if (entry.deadline < now) requests.push_back(entry.request);
      earliest_deadline_ = std::min(earliest_deadline_, entry.deadline);
    }
  }
  for (const auto& request : requests) {
    request->End(TimeoutError(request->started()));
  }
}

void RequestRegistry::EndAll(
    const std::function<RpcError(const ActiveRequest&)>& make_error) {
  std::vector<std::shared_ptr<ActiveRequest>> requests;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [id, entry] : entries_) requests.push_back(entry.request);
  }
  for (const auto& request : requests) request->End(make_error(*request));
}

size_t RequestRegistry::size() const {
  absl::MutexLock lock(&mutex_);
  return entries_.size();
}

bool RequestRegistry::WaitUntilEmpty(absl::Duration timeout) const {
  const absl::Time give_up = MonotonicNow() + timeout;
  absl::MutexLock lock(&mutex_);
  while (!entries_.empty()) {
    const absl::Duration left = give_up - MonotonicNow();
    if (left <= absl::ZeroDuration()) return false;
    emptied_.WaitWithTimeout(&mutex_, left);
  }
  return true;
}

}  // namespace blockserve
