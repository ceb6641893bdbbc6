// The requests under way, to end them from outside: the Abort call, deadlines
// that a worker missed, shutdown.
#ifndef BLOCKSERVE_ROUTER_REQUEST_REGISTRY_H_
#define BLOCKSERVE_ROUTER_REQUEST_REGISTRY_H_

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "router/rpc_error.h"

namespace blockserve {

class ActiveRequest {
 public:
  virtual ~ActiveRequest() = default;
  // Ends the request; without effect if it has ended.
  virtual void End(const RpcError& error) = 0;
  // Tokens have been generated.
  virtual bool started() const = 0;
};

// Ids need not be unique: a client may use one for several requests, and ends
// all of them by it. Thread-safe; requests are never called with the lock held.
class RequestRegistry {
 public:
  void Add(const std::string& id, absl::Time deadline,
           std::shared_ptr<ActiveRequest> request);
  void Remove(const std::string& id, const ActiveRequest* request);

  // Ends all requests with this id.
  void End(const std::string& id, const RpcError& error);
  // Ends those whose deadline is before `now`.
  void EndExpired(absl::Time now);
  // Ends all, each with the error that `make_error` gives for it.
  void EndAll(const std::function<RpcError(const ActiveRequest&)>& make_error);

  size_t size() const;
  // True as soon as there is none; false if `timeout` passed first.
  bool WaitUntilEmpty(absl::Duration timeout) const;

 private:
  struct Entry {
    absl::Time deadline;
    std::shared_ptr<ActiveRequest> request;
  };

  mutable absl::Mutex mutex_;
  mutable absl::CondVar emptied_;
  std::unordered_multimap<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  // No deadline is before it. Spares EndExpired, which is called often, a look
  // at every request: each is a miss of the cache.
  absl::Time earliest_deadline_ ABSL_GUARDED_BY(mutex_) =
      absl::InfiniteFuture();
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_REQUEST_REGISTRY_H_
