// One sequence's way to a worker and, if that worker is lost, to another.
#ifndef BLOCKSERVE_ROUTER_ROUTED_REQUEST_H_
#define BLOCKSERVE_ROUTER_ROUTED_REQUEST_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "blockserve/worker/v1/worker.pb.h"
#include "router/resume.h"
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
  ResumeOptions resume;
  // Nothing has been shown to the client before the end, so that a loss after
  // the first token may be retried without mid_stream_resume too.
  bool restart_after_tokens = false;
};

// A worker that is lost, or leaves, is replaced: see ResumePlan for when, and
// RetryBudget for how many at once. What was delivered goes along as
// GenerateCommand.resume_ids, and the worker sends what follows: the listener
// sees one sequence. If no worker can be had, a begun sequence waits and any
// other ends. Thread-safe.
class RoutedRequest : public WorkerWaiter,
                      public std::enable_shared_from_this<RoutedRequest> {
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

  bool TryAgain() override;

  // How often the sequence moved to another worker.
  int num_migrations() const;

 private:
  class Attempt;

  // Ends the attempt under way, if it is `attempt`, and tries the next worker
  // or reports `error`.
  void EndAttempt(int attempt, AttemptFailure failure, RpcError error);
  void OnEvent(int attempt, const worker::v1::RequestEvent& event);
  void OnLost(int attempt, const absl::Status& why);

  // Gives the sequence to a worker; false if none took it.
  bool Dispatch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<WorkerLease> Acquire(const std::vector<int>& unreachable)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Send(const WorkerLease& lease) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // As Dispatch, if the budget has room.
  bool Redispatch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Waits if the sequence may, else returns false; `error` is why.
  bool Wait(const RpcError& error) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The attempt under way has failed: tells the fleet and says what is next.
  ResumePlan::Verdict NoteFailure(AttemptFailure failure, const RpcError& error)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LeaveWorker() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndRetry() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What the client is told if there is no way on after `error`.
  RpcError FinalError(ResumePlan::Verdict verdict, RpcError error) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  WorkerFleet* const fleet_;
  RouterMetrics* const metrics_;
  RandomSource* const random_;
  const RoutedRequestOptions options_;
  const std::shared_ptr<RoutedRequestListener> listener_;

  mutable absl::Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  ResumePlan plan_ ABSL_GUARDED_BY(mutex_);
  int attempt_ ABSL_GUARDED_BY(mutex_) = 0;  // counts from 1
  std::optional<WorkerLease> lease_ ABSL_GUARDED_BY(mutex_);
  std::string wire_id_ ABSL_GUARDED_BY(mutex_);
  // The attempt under way has delivered something.
  bool succeeded_ ABSL_GUARDED_BY(mutex_) = false;
  // Why the next attempt, and the one under way, are made; 0: not retries.
  uint64_t next_cause_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t cause_ ABSL_GUARDED_BY(mutex_) = 0;
  // Waiting because of this.
  std::optional<RpcError> waiting_after_ ABSL_GUARDED_BY(mutex_);
};

// The error that a worker reported.
RpcError ErrorFromWorker(const worker::v1::Done& done);

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_ROUTED_REQUEST_H_
