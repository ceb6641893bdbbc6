#include "router/routed_request.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "router/duration_proto.h"
#include "runtime/base/monotonic_clock.h"

namespace blockserve {
namespace {

constexpr absl::Duration kRetryDelay = absl::Milliseconds(500);

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
      listener_(std::move(listener)) {}

void RoutedRequest::Start() {
  std::optional<RpcError> error;
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) return;
    error = Dispatch();
    if (error.has_value()) ended_ = true;
  }
  if (error.has_value()) listener_->OnRoutedError(options_.index, *error);
}

void RoutedRequest::Cancel() {
  absl::MutexLock lock(&mutex_);
  if (ended_) return;
  ended_ = true;
  if (!worker_.has_value()) return;
  fleet_->CancelRequest(*worker_, wire_id_);
  ReleaseWorker();
}

std::optional<RpcError> RoutedRequest::Dispatch() {
  RpcError error = NoHealthyWorkerError(kRetryDelay);
  while (attempt_ < kMaxAttempts) {
    const absl::Duration time_left = options_.deadline - MonotonicNow();
    if (time_left <= absl::ZeroDuration()) return TimeoutError(false);
    const std::optional<int> worker =
        fleet_->Acquire(options_.blocks, lost_worker_);
    if (!worker.has_value()) return error;
    if (attempt_++ > 0) metrics_->Retried();
    worker_ = worker;
    num_tokens_ = 0;
    // Unique on the worker even if clients reuse their ids, and if it has more
    // routers than this one.
    wire_id_ = absl::StrCat(options_.request_id, "/", options_.index, "/",
                            absl::Hex(random_->Next(), absl::kZeroPad16));
    worker::v1::ExecuteRequest command = options_.command;
    if (command.has_generate()) {
      command.mutable_generate()->set_request_id(wire_id_);
      SetDuration(time_left, *command.mutable_generate()->mutable_timeout());
    } else {
      command.mutable_score()->set_request_id(wire_id_);
      SetDuration(time_left, *command.mutable_score()->mutable_timeout());
    }
    if (fleet_->StartRequest(
            *worker, wire_id_, std::move(command),
            std::make_shared<Attempt>(shared_from_this(), attempt_))) {
      return std::nullopt;
    }
    error = LossError("the connection is broken");
    ReleaseWorker();
    lost_worker_ = worker;
  }
  return error;
}

void RoutedRequest::OnEvent(int attempt,
                            const worker::v1::RequestEvent& event) {
  if (event.has_done() && event.done().code() != 0) {
    EndAttempt(attempt, ErrorFromWorker(event.done()));
    return;
  }
  {
    absl::MutexLock lock(&mutex_);
    if (ended_ || attempt != attempt_) return;
    num_tokens_ += event.token_ids_size();
    if (event.has_done()) {
      ended_ = true;
      ReleaseWorker();
    }
  }
  listener_->OnRoutedEvent(options_.index, event);
}

void RoutedRequest::OnLost(int attempt, const absl::Status& why) {
  RpcError error;
  {
    absl::MutexLock lock(&mutex_);
    error = LossError(why.message());
  }
  EndAttempt(attempt, std::move(error));
}

void RoutedRequest::EndAttempt(int attempt, RpcError error) {
  bool retry = false;
  bool restart = false;
  {
    absl::MutexLock lock(&mutex_);
    if (ended_ || attempt != attempt_) return;
    lost_worker_ = worker_;
    ReleaseWorker();
    retry = MayRetry(error);
    restart = retry && num_tokens_ > 0;
    if (!retry) ended_ = true;
  }
  if (restart) listener_->OnRoutedRestart(options_.index);
  if (retry) {
    absl::MutexLock lock(&mutex_);
    if (ended_) return;  // cancelled meanwhile
    std::optional<RpcError> failure = Dispatch();
    if (!failure.has_value()) return;
    // That nobody else is there is less telling than what happened.
    if (failure->reason != kNoHealthyWorker) error = *std::move(failure);
    ended_ = true;
  }
  listener_->OnRoutedError(options_.index, error);
}

bool RoutedRequest::MayRetry(const RpcError& error) const {
  return error.code == grpc::StatusCode::UNAVAILABLE &&
         attempt_ < kMaxAttempts &&
         (num_tokens_ == 0 || options_.restart_after_tokens) &&
         MonotonicNow() < options_.deadline;
}

void RoutedRequest::ReleaseWorker() {
  fleet_->Release(*worker_, options_.blocks);
  worker_.reset();
}

RpcError RoutedRequest::LossError(absl::string_view why) const {
  if (num_tokens_ > 0 && !options_.restart_after_tokens) {
    return WorkerLostMidStreamError(num_tokens_);
  }
  return WorkerLostError(why);
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
