#include "router/worker_client.h"

#include <utility>

#include "router/callback_threads.h"
#include "runtime/base/monotonic_clock.h"

namespace blockserve {

WorkerClient::WorkerClient(int worker, const WorkerClientOptions& options,
                           WorkerConnectionListener* listener)
    : worker_(worker),
      options_(options),
      listener_(listener),
      timer_(options.reconnect) {
  KeepCallbackThreads();
}

WorkerClient::~WorkerClient() {
  std::shared_ptr<WorkerSession> session;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    session = session_;
  }
  if (session == nullptr) return;
  session->Close(absl::CancelledError("the router is shutting down"));
  absl::MutexLock lock(&mutex_);
  while (session_ != nullptr) session_ended_.Wait(&mutex_);
}

void WorkerClient::Tick(absl::Time now, uint64_t random) {
  std::shared_ptr<WorkerSession> session;
  {
    absl::MutexLock lock(&mutex_);
    random_ = random;
    if (stopping_) return;
    if (session_ == nullptr) {
      if (!timer_.IsDue(now)) return;
      timer_.OnStarted(now);
      WorkerSessionListener* const listener = this;
      session_ = std::make_shared<WorkerSession>(options_.session, listener);
      session_->Start();
      return;
    }
    session = session_;
  }
  session->CheckProgress(now);
}

bool WorkerClient::StartRequest(const std::string& id,
                                worker::v1::ExecuteRequest command,
                                std::shared_ptr<WorkerRequestHandler> handler) {
  const std::shared_ptr<WorkerSession> current = session();
  return current != nullptr &&
         current->StartRequest(id, std::move(command), std::move(handler));
}

void WorkerClient::CancelRequest(const std::string& id) {
  const std::shared_ptr<WorkerSession> current = session();
  if (current != nullptr) current->CancelRequest(id);
}

absl::Status WorkerClient::OnIdentity(
    const worker::v1::GetIdentityResponse& identity) {
  return listener_->OnIdentity(worker_, identity);
}

void WorkerClient::OnLoad(const worker::v1::WatchLoadResponse& load) {
  listener_->OnLoad(worker_, load);
}

void WorkerClient::OnReadiness(bool ready) {
  listener_->OnReadiness(worker_, ready);
}

void WorkerClient::OnBroken(const absl::Status& why) {
  listener_->OnDown(worker_, why);
}

void WorkerClient::OnEnded() {
  absl::MutexLock lock(&mutex_);
  timer_.OnEnded(MonotonicNow(), random_);
  session_.reset();
  session_ended_.SignalAll();
}

std::shared_ptr<WorkerSession> WorkerClient::session() const {
  absl::MutexLock lock(&mutex_);
  return session_;
}

}  // namespace blockserve
