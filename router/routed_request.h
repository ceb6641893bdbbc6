// One sequence's way to a worker and, if that worker is lost, to another.
#ifndef BLOCKSERVE_ROUTER_ROUTED_REQUEST_H_
#define BLOCKSERVE_ROUTER_ROUTED_REQUEST_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "blockserve/worker/v1/worker.pb.h"
#include "router/rpc_error.h"
#include "router/worker_fleet.h"

namespace blockserve {

// Receives a sequence's events, one call at a time; `index` is that of the
// options. Never called with a lock of the RoutedRequest held.
class RoutedRequestListener {
 public:
  virtual ~RoutedRequestListener() = default;
  // With `done`, whose code is then OK, the last call.
  virtual void OnRoutedEvent(int index,
                             const worker::v1::RequestEvent& event) = 0;
  // The sequence begins anew on another worker: what came before is void. Only
  // with restart_after_tokens.
  virtual void OnRoutedRestart(int index) = 0;
  // The last call.
  virtual void OnRoutedError(int index, const RpcError& error) = 0;
};

struct RoutedRequestOptions {
  std::string request_id;
  int index = 0;
  // Generate or score; the id and the timeout are filled in per attempt.
  worker::v1::ExecuteRequest command;
  int64_t blocks = 0;  // of work, for balancing
  absl::Time deadline = absl::InfiniteFuture();
  // Nothing has been shown to the client before the end, so that a loss after
  // the first token may be retried too.
  bool restart_after_tokens = false;
};

// A worker that is lost, or begins to drain, before the first token is replaced
// once: a request that kills workers reaches two at most. Later losses end the
// request with ABORTED. (To resume there instead, the next attempt's
// GenerateCommand.resume_ids would hold the tokens delivered so far.)
// Thread-safe.
class RoutedRequest : public std::enable_shared_from_this<RoutedRequest> {
 public:
  // The fleet and the metrics must outlive this.
  RoutedRequest(WorkerFleet* fleet, RouterMetrics* metrics,
                RandomSource* random, RoutedRequestOptions options,
                std::shared_ptr<RoutedRequestListener> listener);

  // Dispatches; call once. The listener may be called before this returns.
  void Start();
  // Has the worker abort, and calls the listener no more, but for a call that
  // has already begun. Idempotent.
  void Cancel();

 private:
  class Attempt;

  static constexpr int kMaxAttempts = 2;

  // Ends the attempt under way, if it is `attempt`, and tries the next worker
  // or reports `error`.
  void EndAttempt(int attempt, RpcError error);
  void OnEvent(int attempt, const worker::v1::RequestEvent& event);
  void OnLost(int attempt, const absl::Status& why);

  // Returns the error if the request could be given to no worker.
  std::optional<RpcError> Dispatch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayRetry(const RpcError& error) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReleaseWorker() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  RpcError LossError(absl::string_view why) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  WorkerFleet* const fleet_;
  RouterMetrics* const metrics_;
  RandomSource* const random_;
  const RoutedRequestOptions options_;
  const std::shared_ptr<RoutedRequestListener> listener_;

  absl::Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  int attempt_ ABSL_GUARDED_BY(mutex_) = 0;  // counts from 1
  std::optional<int> worker_ ABSL_GUARDED_BY(mutex_);
  std::optional<int> lost_worker_ ABSL_GUARDED_BY(mutex_);
  std::string wire_id_ ABSL_GUARDED_BY(mutex_);
  int64_t num_tokens_ ABSL_GUARDED_BY(mutex_) = 0;
};

// The error that a worker reported.
RpcError ErrorFromWorker(const worker::v1::Done& done);

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_ROUTED_REQUEST_H_
