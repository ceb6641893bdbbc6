#include "router/routed_request.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "router/duration_proto.h"

namespace blockserve {
namespace {

constexpr absl::Duration kRetryDelay = absl::Milliseconds(500);

// Scores have no tokens to go on from.
ResumeOptions ResumeOptionsOf(const RoutedRequestOptions& options) {
  ResumeOptions resume = options.resume;
  if (!options.command.has_generate()) resume.mid_stream_resume = false;
  return resume;
}

AttemptFailure FailureOf(const RpcError& error) {
  if (error.reason == kDraining) return AttemptFailure::kLeft;
  return error.reason == kWorkerLost || error.reason == kEngineError
             ? AttemptFailure::kLost
             : AttemptFailure::kRefused;
}

// Whether the worker, rather than the request, is to blame.
bool IsWorkersFault(const RpcError& error) {
  return error.code == grpc::StatusCode::UNAVAILABLE ||
         error.code == grpc::StatusCode::INTERNAL ||
         error.code == grpc::StatusCode::UNKNOWN ||
         error.code == grpc::StatusCode::DATA_LOSS;
}

}  // namespace

// What one worker says: passed on with the number of the attempt, so that a
// late word from a worker that was given up is told apart.
class RoutedRequest::Attempt : public WorkerRequestHandler {
 public:
  Attempt(std::shared_ptr<RoutedRequest> request, int number)
      : request_(std::move(request)), number_(number) {}

  void OnEvent(const worker::v1::RequestEvent& event) override {
    request_->OnEvent(number_, event);
  }
  void OnLost(const absl::Status& why) override {
    request_->OnLost(number_, why);
  }

 private:
  const std::shared_ptr<RoutedRequest> request_;
  const int number_;
};

RoutedRequest::RoutedRequest(WorkerFleet* fleet, RouterMetrics* metrics,
                             RandomSource* random, RoutedRequestOptions options,
                             std::shared_ptr<RoutedRequestListener> listener)
    : fleet_(fleet),
      metrics_(metrics),
      random_(random),
      options_(std::move(options)),
      listener_(std::move(listener)),
      plan_(ResumeOptionsOf(options_), options_.deadline,
            options_.restart_after_tokens) {}

void RoutedRequest::Start() {
  RpcError error = NoHealthyWorkerError(kRetryDelay);
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) return;
    if (fleet_->Now() >= options_.deadline) {
      error = TimeoutError(false);
    } else if (Dispatch()) {
      return;
    }
    ended_ = true;
  }
  listener_->OnRoutedError(options_.index, error);
}

void RoutedRequest::Cancel() {
  absl::MutexLock lock(&mutex_);
  if (ended_) return;
  ended_ = true;
  if (!lease_.has_value()) return;
  fleet_->CancelRequest(*lease_, wire_id_);
  LeaveWorker();
}

int RoutedRequest::num_migrations() const {
  absl::MutexLock lock(&mutex_);
  return std::max(0, plan_.num_migrations());
}

bool RoutedRequest::Dispatch() {
  // Connections that broke a moment ago.
  std::vector<int> unreachable;
  while (true) {
    const std::optional<WorkerLease> lease = Acquire(unreachable);
    if (!lease.has_value()) return false;
    if (Send(*lease)) return true;
    unreachable.push_back(lease->worker);
  }
}

std::optional<WorkerLease> RoutedRequest::Acquire(
    const std::vector<int>& unreachable) {
  std::vector<int> excluded = unreachable;
  excluded.insert(excluded.end(), plan_.tried().begin(), plan_.tried().end());
  auto lease = fleet_->Acquire(options_.blocks, excluded);
  if (lease.has_value() || !plan_.MayReturn()) return lease;
  return fleet_->Acquire(options_.blocks, unreachable);
}

bool RoutedRequest::Send(const WorkerLease& lease) {
  // Unique on the worker even if clients reuse their ids, and if it has more
  // routers than this one.
  wire_id_ = absl::StrCat(options_.request_id, "/", options_.index, "/",
                          absl::Hex(random_->Next(), absl::kZeroPad16));
  const absl::Duration time_left =
      std::max(options_.deadline - fleet_->Now(), absl::Milliseconds(1));
  worker::v1::ExecuteRequest command = options_.command;
  if (command.has_generate()) {
    auto* generate = command.mutable_generate();
    generate->set_request_id(wire_id_);
    SetDuration(time_left, *generate->mutable_timeout());
    generate->mutable_resume_ids()->Add(plan_.tokens().begin(),
                                        plan_.tokens().end());
  } else {
    command.mutable_score()->set_request_id(wire_id_);
    SetDuration(time_left, *command.mutable_score()->mutable_timeout());
  }
  lease_ = lease;
  succeeded_ = false;
  if (!fleet_->StartRequest(
          lease, wire_id_, std::move(command),
          std::make_shared<Attempt>(shared_from_this(), ++attempt_))) {
    lease_.reset();
    fleet_->Release(lease, options_.blocks);
    return false;
  }
  plan_.OnDispatched(lease.worker);
  return true;
}

bool RoutedRequest::Redispatch() {
  if (!fleet_->TryBeginRetry(next_cause_)) {
    if (!waiting_after_.has_value()) metrics_->RetryRefused();
    return false;
  }
  cause_ = next_cause_;
  if (!Dispatch()) {
    EndRetry();
    return false;
  }
  metrics_->Retried();
  metrics_->Migrated(plan_.begun());
  return true;
}

void RoutedRequest::OnEvent(int attempt,
                            const worker::v1::RequestEvent& event) {
  if (event.has_done() && event.done().code() != 0) {
    RpcError error = ErrorFromWorker(event.done());
    const AttemptFailure failure = FailureOf(error);
    EndAttempt(attempt, failure, std::move(error));
    return;
  }
  {
    absl::MutexLock lock(&mutex_);
    if (ended_ || attempt != attempt_) return;
    if (!succeeded_) {
      succeeded_ = true;
      fleet_->ReportSuccess(*lease_);
      EndRetry();
    }
    plan_.OnTokens(
        absl::MakeConstSpan(event.token_ids().data(), event.token_ids_size()));
    if (event.has_done()) {
      ended_ = true;
      LeaveWorker();
    }
  }
  listener_->OnRoutedEvent(options_.index, event);
}

void RoutedRequest::OnLost(int attempt, const absl::Status& why) {
  EndAttempt(attempt, AttemptFailure::kLost, WorkerLostError(why.message()));
}

void RoutedRequest::EndAttempt(int attempt, AttemptFailure failure,
                               RpcError error) {
  bool retry = false;
  bool restart = false;
  {
    absl::MutexLock lock(&mutex_);
    if (ended_ || attempt != attempt_) return;
    const ResumePlan::Verdict verdict = NoteFailure(failure, error);
    retry = verdict == ResumePlan::Verdict::kRetry;
    restart = retry && plan_.begun() && plan_.restarts();
    if (restart) plan_.Restart();
    if (!retry) {
      ended_ = true;
      error = FinalError(verdict, std::move(error));
    }
  }
  if (restart) listener_->OnRoutedRestart(options_.index);
  if (retry) {
    absl::MutexLock lock(&mutex_);
    if (ended_) return;  // cancelled meanwhile
    if (Redispatch() || Wait(error)) return;
    ended_ = true;
    error = FinalError(ResumePlan::Verdict::kGiveUp, std::move(error));
  }
  listener_->OnRoutedError(options_.index, error);
}

ResumePlan::Verdict RoutedRequest::NoteFailure(AttemptFailure failure,
                                               const RpcError& error) {
  const bool unavailable = error.code == grpc::StatusCode::UNAVAILABLE;
  const bool group_lost = unavailable && failure == AttemptFailure::kLost;
  const bool group_leaves = unavailable && failure == AttemptFailure::kLeft;
  // The requests that a lost or leaving group had are one cause.
  next_cause_ =
      group_lost || group_leaves ? lease_->generation : fleet_->NewRetryCause();
  if (IsWorkersFault(error) && !group_leaves) {
    fleet_->ReportFailure(*lease_, group_lost);
  }
  LeaveWorker();
  if (!unavailable) return ResumePlan::Verdict::kGiveUp;
  return plan_.OnFailed(failure, fleet_->Now());
}

bool RoutedRequest::Wait(const RpcError& error) {
  if (!plan_.MayWait()) return false;
  waiting_after_ = error;
  plan_.BeginWait(fleet_->Now());
  fleet_->Await(shared_from_this());
  return true;
}

bool RoutedRequest::TryAgain() {
  RpcError error;
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) return true;
    const absl::Time now = fleet_->Now();
    if (now >= options_.deadline) {
      error = TimeoutError(plan_.begun());
    } else if (Redispatch()) {
      waiting_after_.reset();
      return true;
    } else if (plan_.WaitIsOver(now)) {
      error = FinalError(ResumePlan::Verdict::kGiveUp, *waiting_after_);
    } else {
      return false;
    }
    ended_ = true;
  }
  listener_->OnRoutedError(options_.index, error);
  return true;
}

RpcError RoutedRequest::FinalError(ResumePlan::Verdict verdict,
                                   RpcError error) const {
  if (error.code != grpc::StatusCode::UNAVAILABLE) return error;
  switch (verdict) {
    case ResumePlan::Verdict::kPoison:
      return PoisonRequestError(plan_.tokens().size());
    case ResumePlan::Verdict::kDeadline:
      return TimeoutError(plan_.begun());
    default:
      break;
  }
  // The client has a part, so that it must not repeat the request blindly.
  if (plan_.begun() && !options_.restart_after_tokens) {
    return WorkerLostMidStreamError(
        static_cast<int64_t>(plan_.tokens().size()));
  }
  return error;
}

void RoutedRequest::LeaveWorker() {
  fleet_->Release(*lease_, options_.blocks);
  lease_.reset();
  EndRetry();
}

void RoutedRequest::EndRetry() {
  if (const uint64_t cause = std::exchange(cause_, 0)) fleet_->EndRetry(cause);
}

RpcError ErrorFromWorker(const worker::v1::Done& done) {
  RpcError error;
  error.code = static_cast<grpc::StatusCode>(std::clamp(done.code(), 1, 16));
  error.message = done.error_message();
  error.reason = done.error_reason();
  switch (error.code) {
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      if (error.reason.empty()) error.reason = kQueueFull;
      error.quota_subject = "worker_queue";
      error.retry_delay = kRetryDelay;
      break;
    case grpc::StatusCode::UNAVAILABLE:
      if (error.reason.empty()) error.reason = kDraining;
      error.retry_delay = kRetryDelay;
      break;
    case grpc::StatusCode::INVALID_ARGUMENT:
      if (error.reason.empty()) error.reason = kInvalidParameter;
      break;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      if (error.reason.empty()) error.reason = kGenerationTimeout;
      break;
    case grpc::StatusCode::CANCELLED:
      if (error.reason.empty()) error.reason = kAbortRpc;
      break;
    default:
      if (error.reason.empty()) error.reason = kEngineError;
  }
  return error;
}

}  // namespace blockserve
