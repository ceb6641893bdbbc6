#include "router/testing/fake_worker.h"

#include <glog/logging.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/monotonic_clock.h"

namespace blockserve {
namespace {

// Short, since tests set short timeouts.
constexpr absl::Duration kHeartbeat = absl::Milliseconds(5);

}  // namespace

class FakeWorker::Service : public worker::v1::WorkerService::CallbackService {
 public:
  explicit Service(FakeWorker* worker) : worker_(worker) {}

  grpc::ServerBidiReactor<worker::v1::ExecuteRequest,
                          worker::v1::ExecuteResponse>*
  Execute(grpc::CallbackServerContext*) override {
    absl::MutexLock lock(&worker_->mutex_);
    auto* reactor = new FakeExecuteStream(
        {[this](FakeExecuteStream* stream,
                const worker::v1::ExecuteRequest& request) {
           worker_->OnCommand(stream, request);
         },
         [this](FakeExecuteStream* stream) {
           worker_->OnStreamClosed(stream);
         }});
    worker_->streams_.insert(reactor);
    return reactor;
  }
  grpc::ServerWriteReactor<worker::v1::WatchLoadResponse>* WatchLoad(
      grpc::CallbackServerContext*,
      const worker::v1::WatchLoadRequest*) override {
    absl::MutexLock lock(&worker_->mutex_);
    auto* reactor = new FakeLoadStream([this](FakeLoadStream* stream) {
      absl::MutexLock lock(&worker_->mutex_);
      worker_->watches_.erase(stream);
    });
    worker_->watches_.insert(reactor);
    if (!worker_->hang_) reactor->Send(worker_->CurrentLoad());
    return reactor;
  }
  grpc::ServerUnaryReactor* GetIdentity(
      grpc::CallbackServerContext* context,
      const worker::v1::GetIdentityRequest*,
      worker::v1::GetIdentityResponse* response) override {
    {
      absl::MutexLock lock(&worker_->mutex_);
      *response = worker_->identity_;
      response->set_state(worker_->state_);
    }
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  FakeWorker* const worker_;
};

FakeWorker::FakeWorker(FakeTokenFunction token)
    : token_(std::move(token)), identity_(FakeIdentity()) {
  Serve();
  heartbeat_ = std::thread([this] { BeatUntilStopped(); });
}

FakeWorker::~FakeWorker() {
  stop_.Notify();
  heartbeat_.join();
  Kill();
  // After the last reactor's end, which ThreadSanitizer does not see otherwise.
  absl::MutexLock lock(&mutex_);
}

std::string FakeWorker::address() const {
  return absl::StrCat("127.0.0.1:", port_);
}

void FakeWorker::Serve() {
  service_ = std::make_unique<Service>(this);
  health_ = std::make_unique<HealthService>();
  health_->Set("readiness", true);
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddListeningPort(absl::StrCat("127.0.0.1:", port_),
                           grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(service_.get());
  builder.RegisterService(health_.get());
  server_ = builder.BuildAndStart();
  CHECK(server_ != nullptr && port_ != 0);
}

void FakeWorker::Kill() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_.reset();
  service_.reset();
  health_.reset();
}

void FakeWorker::Restart() {
  Kill();
  {
    absl::MutexLock lock(&mutex_);
    identity_.set_instance_id(identity_.instance_id() + "+");
  }
  Serve();
}

void FakeWorker::LoseRank() {
  absl::MutexLock lock(&mutex_);
  worker::v1::Done done;
  done.set_code(grpc::StatusCode::UNAVAILABLE);
  done.set_error_reason("WORKER_LOST");
  done.set_error_message("rank 1 is lost");
  EndAll(done);
  state_ = worker::v1::WORKER_STATE_NOT_SERVING;
  TellLoad();
}

void FakeWorker::GiveUpAll() {
  absl::MutexLock lock(&mutex_);
  state_ = worker::v1::WORKER_STATE_DRAINING;
  worker::v1::Done done;
  done.set_code(grpc::StatusCode::UNAVAILABLE);
  done.set_error_reason("DRAINING");
  done.set_error_message("the worker is draining");
  EndAll(done);
  TellLoad();
}

void FakeWorker::Rebuild() {
  absl::MutexLock lock(&mutex_);
  identity_.set_group_epoch(identity_.group_epoch() + 1);
  state_ = worker::v1::WORKER_STATE_SERVING;
  TellLoad();
}

void FakeWorker::Hang(bool hang) {
  absl::MutexLock lock(&mutex_);
  hang_ = hang;
  TellLoad();
}

void FakeWorker::SetReadiness(bool ready) { health_->Set("readiness", ready); }

void FakeWorker::Hold(bool hold) {
  absl::MutexLock lock(&mutex_);
  hold_ = hold;
}

void FakeWorker::HoldPromptsOf(int num_tokens) {
  absl::MutexLock lock(&mutex_);
  held_prompt_length_ = num_tokens;
}

void FakeWorker::Step() {
  absl::MutexLock lock(&mutex_);
  if (hang_) return;
  for (auto it = running_.begin(); it != running_.end();) {
    it = StepOne(it->second) ? running_.erase(it) : std::next(it);
  }
  TellLoad();
}

void FakeWorker::RefuseNext(grpc::StatusCode code, const std::string& reason) {
  absl::MutexLock lock(&mutex_);
  refusal_.set_code(code);
  refusal_.set_error_reason(reason);
  refusal_.set_error_message("refused by the test");
}

void FakeWorker::BreakStreams() {
  absl::MutexLock lock(&mutex_);
  for (FakeExecuteStream* stream : streams_) {
    stream->End(grpc::Status(grpc::StatusCode::UNAVAILABLE, "broken"));
  }
}

void FakeWorker::SetState(worker::v1::WorkerState state) {
  absl::MutexLock lock(&mutex_);
  state_ = state;
  TellLoad();
}

void FakeWorker::SetIdentity(
    std::function<void(worker::v1::GetIdentityResponse*)> edit) {
  absl::MutexLock lock(&mutex_);
  edit(&identity_);
}

void FakeWorker::OnCommand(FakeExecuteStream* stream,
                           const worker::v1::ExecuteRequest& request) {
  absl::MutexLock lock(&mutex_);
  if (hang_) return;
  if (request.has_abort()) {
    ++num_aborts_;
    changed_.SignalAll();
    const auto it = running_.find(request.abort().request_id());
    if (it == running_.end()) return;
    worker::v1::RequestEvent event;
    event.set_request_id(it->first);
    event.mutable_done()->set_code(grpc::StatusCode::CANCELLED);
    running_.erase(it);
    stream->Send(event);
    TellLoad();
  } else if (request.has_score()) {
    score_commands_.push_back(request.score());
    stream->Send(FakeScore(request.score()));
  } else if (request.has_generate()) {
    Generate(stream, request.generate());
  }
}

void FakeWorker::OnStreamClosed(FakeExecuteStream* stream) {
  absl::MutexLock lock(&mutex_);
  streams_.erase(stream);
  for (auto it = running_.begin(); it != running_.end();) {
    it = it->second.stream == stream ? running_.erase(it) : std::next(it);
  }
  changed_.SignalAll();
}

void FakeWorker::Generate(FakeExecuteStream* stream,
                          const worker::v1::GenerateCommand& command) {
  commands_.push_back(command);
  changed_.SignalAll();
  if (refusal_.code() != 0) {
    worker::v1::RequestEvent event;
    event.set_request_id(command.request_id());
    *event.mutable_done() = std::exchange(refusal_, {});
    stream->Send(event);
    return;
  }
  Running running{FakeSequence(command, token_), stream};
  if (hold_ || command.prompt_ids_size() == held_prompt_length_) {
    running_.emplace(command.request_id(), std::move(running));
  } else {
    while (!StepOne(running)) {
    }
  }
  TellLoad();
}

bool FakeWorker::StepOne(Running& running) {
  ++num_steps_;
  const worker::v1::RequestEvent event = running.sequence.Step();
  running.stream->Send(event);
  return event.has_done();
}

void FakeWorker::EndAll(const worker::v1::Done& done) {
  for (auto& [id, running] : running_) {
    worker::v1::RequestEvent event;
    event.set_request_id(id);
    *event.mutable_done() = done;
    running.stream->Send(event);
  }
  running_.clear();
}

void FakeWorker::BeatUntilStopped() {
  while (!stop_.WaitForNotificationWithTimeout(kHeartbeat)) {
    absl::MutexLock lock(&mutex_);
    TellLoad();
  }
}

void FakeWorker::TellLoad() {
  changed_.SignalAll();
  if (hang_) return;
  for (FakeLoadStream* watch : watches_) watch->Send(CurrentLoad());
}

worker::v1::WatchLoadResponse FakeWorker::CurrentLoad() const {
  worker::v1::WatchLoadResponse load;
  load.set_state(state_);
  load.set_running_count(static_cast<int>(running_.size()));
  load.set_step_count(num_steps_);
  load.set_group_epoch(identity_.group_epoch());
  return load;
}

std::vector<worker::v1::GenerateCommand> FakeWorker::commands() const {
  absl::MutexLock lock(&mutex_);
  return commands_;
}

std::vector<worker::v1::ScoreCommand> FakeWorker::score_commands() const {
  absl::MutexLock lock(&mutex_);
  return score_commands_;
}

int FakeWorker::num_active() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(running_.size());
}

int FakeWorker::num_aborts() const {
  absl::MutexLock lock(&mutex_);
  return num_aborts_;
}

template <typename Condition>
bool FakeWorker::WaitFor(Condition condition) const {
  const absl::Time give_up = MonotonicNow() + absl::Seconds(10);
  absl::MutexLock lock(&mutex_);
  while (!condition()) {
    const absl::Duration left = give_up - MonotonicNow();
    if (left <= absl::ZeroDuration()) return false;
    changed_.WaitWithTimeout(&mutex_, left);
  }
  return true;
}

bool FakeWorker::WaitForActive(int count) const {
  return WaitFor([this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return static_cast<int>(running_.size()) == count;
  });
}

bool FakeWorker::WaitForCommands(int count) const {
  return WaitFor([this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return static_cast<int>(commands_.size()) >= count;
  });
}

bool FakeWorker::WaitForAborts(int count) const {
  return WaitFor([this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return num_aborts_ >= count;
  });
}

}  // namespace blockserve
