#include "runtime/serving/health_service.h"

#include <utility>

namespace blockserve {

using ::grpc::health::v1::HealthCheckRequest;
using ::grpc::health::v1::HealthCheckResponse;

// One Watch stream: sends the newest status, leaving out those in between if
// its reader is slow. Its state is guarded by the service's mutex. Deletes
// itself when the call is over.
class HealthService::Watcher
    : public grpc::ServerWriteReactor<HealthCheckResponse> {
 public:
  Watcher(HealthService* service, std::string name)
      : service_(service), name_(std::move(name)) {}

  const std::string& name() const { return name_; }

  // Both with the service's mutex held.
  void Notify(Status status) {
    wanted_ = status;
    Advance();
  }
  void End() {
    ending_ = true;
    Advance();
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&service_->mutex_);
    writing_ = false;
    broken_ = broken_ || !ok;
    Advance();
  }

  void OnCancel() override {
    absl::MutexLock lock(&service_->mutex_);
    broken_ = true;
    Advance();
  }

  void OnDone() override {
    {
      absl::MutexLock lock(&service_->mutex_);
      service_->watchers_.erase(this);
    }
    delete this;
  }

 private:
  void Advance() {
    if (writing_ || finished_) return;
    if (wanted_ != sent_ && !broken_) {
      sent_ = wanted_;
      response_.set_status(sent_);
      writing_ = true;
      StartWrite(&response_);
    } else if (ending_ || broken_) {
      finished_ = true;
      Finish(grpc::Status(grpc::StatusCode::UNAVAILABLE,
                          "the server is shutting down"));
    }
  }

  HealthService* const service_;
  const std::string name_;
  Status sent_ = HealthCheckResponse::UNKNOWN;
  Status wanted_ = HealthCheckResponse::UNKNOWN;
  bool writing_ = false;
  bool ending_ = false;
  bool broken_ = false;
  bool finished_ = false;
  HealthCheckResponse response_;
};

void HealthService::Set(const std::string& name, bool serving) {
  absl::MutexLock lock(&mutex_);
  if (shut_down_) return;
  const Status status =
      serving ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
  status_[name] = status;
  for (Watcher* watcher : watchers_) {
    if (watcher->name() == name) watcher->Notify(status);
  }
}

void HealthService::Shutdown() {
  absl::MutexLock lock(&mutex_);
  shut_down_ = true;
  for (auto& [name, status] : status_) {
    status = HealthCheckResponse::NOT_SERVING;
  }
  for (Watcher* watcher : watchers_) {
    if (status_.contains(watcher->name())) {
      watcher->Notify(HealthCheckResponse::NOT_SERVING);
    }
    watcher->End();
  }
}

grpc::ServerUnaryReactor* HealthService::Check(
    grpc::CallbackServerContext* context, const HealthCheckRequest* request,
    HealthCheckResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  absl::MutexLock lock(&mutex_);
  const auto it = status_.find(request->service());
  if (it == status_.end()) {
    reactor->Finish(grpc::Status(
        grpc::StatusCode::NOT_FOUND,
        "unknown service \"" + request->service().substr(0, 200) + "\""));
  } else {
    response->set_status(it->second);
    reactor->Finish(grpc::Status::OK);
  }
  return reactor;
}

grpc::ServerWriteReactor<HealthCheckResponse>* HealthService::Watch(
    grpc::CallbackServerContext* /*context*/,
    const HealthCheckRequest* request) {
  auto* watcher = new Watcher(this, request->service());
  absl::MutexLock lock(&mutex_);
  watchers_.insert(watcher);
  const auto it = status_.find(request->service());
  watcher->Notify(it == status_.end() ? HealthCheckResponse::SERVICE_UNKNOWN
                                      : it->second);
  if (shut_down_) watcher->End();
  return watcher;
}

}  // namespace blockserve
