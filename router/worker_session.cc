#include "router/worker_session.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "router/duration_proto.h"
#include "router/grpc_status.h"
#include "runtime/base/monotonic_clock.h"

namespace blockserve {
namespace {

// The health name that every BlockServe process offers for "takes requests".
constexpr char kReadinessService[] = "readiness";

std::shared_ptr<grpc::Channel> CreateChannel(
    const WorkerSessionOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  // Pings find a worker whose machine or network went away.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS,
                   absl::ToInt64Milliseconds(options.keepalive_time));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                   absl::ToInt64Milliseconds(options.keepalive_timeout));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Not shared with the sessions before, nor is their connection back-off.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(
      options.address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

// Asks who the worker is. Lives until OnDone.
class WorkerSession::IdentityCall : public grpc::ClientUnaryReactor {
 public:
  explicit IdentityCall(std::shared_ptr<WorkerSession> session)
      : session_(std::move(session)) {}

  void Start(std::shared_ptr<IdentityCall> self) {
    self_ = std::move(self);
    context_.set_deadline(
        std::chrono::system_clock::now() +
        absl::ToChronoMicroseconds(session_->options_.connect_timeout));
    session_->stub_->async()->GetIdentity(&context_, &request_, &response_,
                                          this);
    StartCall();
  }
  void Close() { context_.TryCancel(); }

  void OnDone(const grpc::Status& status) override {
    const std::shared_ptr<IdentityCall> self = std::move(self_);
    session_->OnIdentityDone(status, response_);
  }

 private:
  const std::shared_ptr<WorkerSession> session_;
  grpc::ClientContext context_;
  worker::v1::GetIdentityRequest request_;
  worker::v1::GetIdentityResponse response_;
  std::shared_ptr<IdentityCall> self_;
};

// Reads the loads that the worker pushes. Lives until OnDone.
class WorkerSession::LoadWatch
    : public grpc::ClientReadReactor<worker::v1::WatchLoadResponse> {
 public:
  LoadWatch(std::shared_ptr<WorkerSession> session, absl::Duration interval)
      : session_(std::move(session)) {
    SetDuration(interval, *request_.mutable_min_interval());
  }

  void Start(std::shared_ptr<LoadWatch> self) {
    self_ = std::move(self);
    session_->stub_->async()->WatchLoad(&context_, &request_, this);
    StartRead(&load_);
    StartCall();
  }
  void Close() { context_.TryCancel(); }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    session_->OnLoad(load_);
    StartRead(&load_);
  }

  void OnDone(const grpc::Status& status) override {
    const std::shared_ptr<LoadWatch> self = std::move(self_);
    session_->Break(status.ok()
                        ? absl::UnavailableError("the worker ended WatchLoad")
                        : ToAbslStatus(status));
    session_->OnStreamEnded();
  }

 private:
  const std::shared_ptr<WorkerSession> session_;
  grpc::ClientContext context_;
  worker::v1::WatchLoadRequest request_;
  worker::v1::WatchLoadResponse load_;
  std::shared_ptr<LoadWatch> self_;
};

// Reads what the worker's health service says. Lives until OnDone.
class WorkerSession::HealthWatch
    : public grpc::ClientReadReactor<grpc::health::v1::HealthCheckResponse> {
 public:
  explicit HealthWatch(std::shared_ptr<WorkerSession> session)
      : session_(std::move(session)) {
    request_.set_service(kReadinessService);
  }

  void Start(std::shared_ptr<HealthWatch> self) {
    self_ = std::move(self);
    session_->health_stub_->async()->Watch(&context_, &request_, this);
    StartRead(&response_);
    StartCall();
  }
  void Close() { context_.TryCancel(); }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    // A worker that does not know the name has no say in it.
    session_->OnReadiness(
        response_.status() != grpc::health::v1::HealthCheckResponse::UNKNOWN &&
        response_.status() !=
            grpc::health::v1::HealthCheckResponse::NOT_SERVING);
    StartRead(&response_);
  }

  void OnDone(const grpc::Status& status) override {
    const std::shared_ptr<HealthWatch> self = std::move(self_);
    // A worker that shuts down ends health first and finishes what it has.
    if (status.error_code() != grpc::StatusCode::UNIMPLEMENTED) {
      session_->OnReadiness(false);
    }
    session_->OnStreamEnded();
  }

 private:
  const std::shared_ptr<WorkerSession> session_;
  grpc::ClientContext context_;
  grpc::health::v1::HealthCheckRequest request_;
  grpc::health::v1::HealthCheckResponse response_;
  std::shared_ptr<HealthWatch> self_;
};

WorkerSession::WorkerSession(const WorkerSessionOptions& options,
                             WorkerSessionListener* listener)
    : options_(options),
      listener_(listener),
      channel_(CreateChannel(options)),
      stub_(worker::v1::WorkerService::NewStub(channel_)),
      health_stub_(grpc::health::v1::Health::NewStub(channel_)),
      stall_detector_(options.stall_timeout) {}

WorkerSession::~WorkerSession() = default;

void WorkerSession::Start() {
  absl::MutexLock lock(&mutex_);
  identity_call_ = std::make_shared<IdentityCall>(shared_from_this());
  identity_call_->Start(identity_call_);
}

void WorkerSession::OnIdentityDone(
    const grpc::Status& status,
    const worker::v1::GetIdentityResponse& identity) {
  absl::Status result = ToAbslStatus(status);
  if (result.ok()) {
    absl::MutexLock lock(&listener_mutex_);
    result = listener_->OnIdentity(identity);
  }
  if (result.ok()) {
    absl::MutexLock lock(&mutex_);
    identity_call_.reset();  // refers back to this
    result = close_reason_;
    if (result.ok()) {
      OpenStreams();
      return;
    }
  }
  Break(result);
  OnStreamEnded();
}

void WorkerSession::OpenStreams() {
  num_open_streams_ = 3;
  stall_detector_.OnConnected(MonotonicNow());
  const std::shared_ptr<WorkerSession> self = shared_from_this();
  stream_ =
      WorkerStream::Open(*stub_, options_.shared_work,
                         {[self](const absl::Status& why) { self->Break(why); },
                          [self] { self->OnStreamEnded(); }});
  watch_ = std::make_shared<LoadWatch>(self, options_.load_interval);
  watch_->Start(watch_);
  health_watch_ = std::make_shared<HealthWatch>(self);
  health_watch_->Start(health_watch_);
}

bool WorkerSession::StartRequest(
    const std::string& id, worker::v1::ExecuteRequest command,
    std::shared_ptr<WorkerRequestHandler> handler) {
  std::shared_ptr<WorkerStream> stream;
  {
    absl::MutexLock lock(&mutex_);
    if (broken_) return false;
    stream = stream_;
  }
  return stream != nullptr &&
         stream->StartRequest(id, std::move(command), std::move(handler));
}

void WorkerSession::CancelRequest(const std::string& id) {
  std::shared_ptr<WorkerStream> stream;
  {
    absl::MutexLock lock(&mutex_);
    stream = stream_;
  }
  if (stream != nullptr) stream->CancelRequest(id);
}

void WorkerSession::Close(const absl::Status& why) {
  std::shared_ptr<IdentityCall> identity_call;
  std::shared_ptr<WorkerStream> stream;
  std::shared_ptr<LoadWatch> watch;
  std::shared_ptr<HealthWatch> health_watch;
  {
    absl::MutexLock lock(&mutex_);
    if (close_reason_.ok()) close_reason_ = why;
    identity_call = identity_call_;
    stream = stream_;
    watch = watch_;
    health_watch = health_watch_;
  }
  if (identity_call != nullptr) identity_call->Close();
  if (stream != nullptr) stream->Close();
  if (watch != nullptr) watch->Close();
  if (health_watch != nullptr) health_watch->Close();
}

void WorkerSession::CheckProgress(absl::Time now) {
  absl::Status progress;
  {
    absl::MutexLock lock(&mutex_);
    // Once is enough.
    if (broken_ || !close_reason_.ok()) return;
    progress = stall_detector_.Check(now);
  }
  if (!progress.ok()) Close(progress);
}

void WorkerSession::OnLoad(const worker::v1::WatchLoadResponse& load) {
  // Taken first: no load may be told after OnBroken.
  absl::MutexLock listener_lock(&listener_mutex_);
  {
    absl::MutexLock lock(&mutex_);
    if (broken_) return;
    stall_detector_.OnLoad(load, MonotonicNow());
  }
  listener_->OnLoad(load);
}

void WorkerSession::OnReadiness(bool ready) {
  absl::MutexLock listener_lock(&listener_mutex_);
  {
    absl::MutexLock lock(&mutex_);
    if (broken_) return;
  }
  listener_->OnReadiness(ready);
}

void WorkerSession::Break(const absl::Status& why) {
  absl::Status reason;
  {
    absl::MutexLock lock(&mutex_);
    if (broken_) return;
    broken_ = true;
    reason = close_reason_.ok() ? why : close_reason_;
  }
  Close(reason);  // the other streams
  absl::MutexLock lock(&listener_mutex_);
  listener_->OnBroken(reason);
}

void WorkerSession::OnStreamEnded() {
  {
    absl::MutexLock lock(&mutex_);
    if (num_open_streams_ > 0 && --num_open_streams_ > 0) return;
    identity_call_.reset();
    stream_.reset();
    watch_.reset();
    health_watch_.reset();
  }
  absl::MutexLock lock(&listener_mutex_);
  listener_->OnEnded();
}

}  // namespace blockserve
