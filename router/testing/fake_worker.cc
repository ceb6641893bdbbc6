#include "router/testing/fake_worker.h"

#include <glog/logging.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "absl/strings/str_cat.h"
#include "router/random_source.h"
#include "router/served_model.h"
#include "runtime/base/monotonic_clock.h"

namespace blockserve {
namespace {

constexpr int kBlockLength = 4;
constexpr int kVocabSize = 256;
constexpr uint32_t kEndOfText = 0;

worker::v1::GetIdentityResponse DefaultIdentity() {
  worker::v1::GetIdentityResponse identity;
  identity.set_worker_id("fake");
  identity.set_instance_id("fake-1");
  identity.set_model_name("fake-model");
  identity.set_family("block_transformer");
  identity.set_block_length(kBlockLength);
  identity.set_vocab_size(kVocabSize);
  identity.set_context_length(512);
  identity.set_eos_token_id(kEndOfText);
  identity.set_parameter_count(1234);
  identity.set_dtype("fp32");
  identity.set_backend("fake");
  identity.set_protocol_version(kWorkerProtocolVersion);
  return identity;
}

}  // namespace

uint32_t HashedToken(const worker::v1::GenerateCommand& command, int position) {
  uint64_t hash = command.sampling_params().seed();
  for (uint32_t id : command.prompt_ids()) hash = MixBits(hash * 31 + id + 1);
  return 1 + MixBits(hash + position) % (kVocabSize - 1);
}

uint32_t EchoedToken(const worker::v1::GenerateCommand& command, int position) {
  return command.prompt_ids(position % command.prompt_ids_size());
}

// One router's Execute stream. Used with the worker's lock held, but for
// gRPC's reactions.
class FakeWorker::ExecuteReactor
    : public grpc::ServerBidiReactor<worker::v1::ExecuteRequest,
                                     worker::v1::ExecuteResponse> {
 public:
  explicit ExecuteReactor(FakeWorker* worker) : worker_(worker) {
    StartRead(&request_);
  }

  void Send(const worker::v1::RequestEvent& event) {
    absl::MutexLock lock(&mutex_);
    if (ending_) return;
    worker::v1::ExecuteResponse response;
    *response.add_events() = event;
    queue_.push_back(std::move(response));
    Advance();
  }

  void End(const grpc::Status& status) {
    absl::MutexLock lock(&mutex_);
    if (ending_) return;
    ending_ = true;
    status_ = status;
    Advance();
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      End(grpc::Status::OK);
      return;
    }
    worker_->OnCommand(this, request_);
    StartRead(&request_);
  }
  void OnWriteDone(bool) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    queue_.pop_front();
    Advance();
  }
  void OnCancel() override { End(grpc::Status::CANCELLED); }
  void OnDone() override {
    worker_->OnStreamClosed(this);
    delete this;
  }

 private:
  void Advance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || finished_) return;
    if (!queue_.empty()) {
      writing_ = true;
      StartWrite(&queue_.front());
    } else if (ending_) {
      finished_ = true;
      Finish(status_);
    }
  }

  FakeWorker* const worker_;
  worker::v1::ExecuteRequest request_;
  absl::Mutex mutex_;
  std::deque<worker::v1::ExecuteResponse> queue_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Status status_ ABSL_GUARDED_BY(mutex_);
};

// Sends the newest load whenever there is a newer one.
class FakeWorker::LoadReactor
    : public grpc::ServerWriteReactor<worker::v1::WatchLoadResponse> {
 public:
  explicit LoadReactor(FakeWorker* worker) : worker_(worker) {}

  void Send(const worker::v1::WatchLoadResponse& load) {
    absl::MutexLock lock(&mutex_);
    next_ = load;
    dirty_ = true;
    Advance();
  }
  void OnWriteDone(bool) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    Advance();
  }
  void OnCancel() override {
    absl::MutexLock lock(&mutex_);
    ending_ = true;
    Advance();
  }
  void OnDone() override {
    {
      absl::MutexLock lock(&worker_->mutex_);
      worker_->watches_.erase(this);
    }
    delete this;
  }

 private:
  void Advance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || finished_) return;
    if (ending_) {
      finished_ = true;
      Finish(grpc::Status::CANCELLED);
    } else if (std::exchange(dirty_, false)) {
      current_ = next_;
      writing_ = true;
      StartWrite(&current_);
    }
  }

  FakeWorker* const worker_;
  absl::Mutex mutex_;
  worker::v1::WatchLoadResponse next_ ABSL_GUARDED_BY(mutex_);
  worker::v1::WatchLoadResponse current_;
  bool dirty_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

class FakeWorker::Service : public worker::v1::WorkerService::CallbackService {
 public:
  explicit Service(FakeWorker* worker) : worker_(worker) {}

  grpc::ServerBidiReactor<worker::v1::ExecuteRequest,
                          worker::v1::ExecuteResponse>*
  Execute(grpc::CallbackServerContext*) override {
    absl::MutexLock lock(&worker_->mutex_);
    auto* reactor = new ExecuteReactor(worker_);
    worker_->streams_.insert(reactor);
    return reactor;
  }
  grpc::ServerWriteReactor<worker::v1::WatchLoadResponse>* WatchLoad(
      grpc::CallbackServerContext*,
      const worker::v1::WatchLoadRequest*) override {
    absl::MutexLock lock(&worker_->mutex_);
    auto* reactor = new LoadReactor(worker_);
    worker_->watches_.insert(reactor);
    reactor->Send(worker_->CurrentLoad());
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
    : token_(std::move(token)), identity_(DefaultIdentity()) {
  Serve();
}

FakeWorker::~FakeWorker() {
  Kill();
  // After the last reactor's end, which ThreadSanitizer does not see otherwise.
  absl::MutexLock lock(&mutex_);
}

std::string FakeWorker::address() const {
  return absl::StrCat("127.0.0.1:", port_);
}

void FakeWorker::Serve() {
  service_ = std::make_unique<Service>(this);
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddListeningPort(absl::StrCat("127.0.0.1:", port_),
                           grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(service_.get());
  server_ = builder.BuildAndStart();
  CHECK(server_ != nullptr && port_ != 0);
}

void FakeWorker::Kill() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_.reset();
  service_.reset();
}

void FakeWorker::Restart() {
  Kill();
  {
    absl::MutexLock lock(&mutex_);
    identity_.set_instance_id(identity_.instance_id() + "+");
  }
  Serve();
}

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
  for (ExecuteReactor* stream : streams_) {
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

void FakeWorker::OnCommand(ExecuteReactor* stream,
                           const worker::v1::ExecuteRequest& request) {
  absl::MutexLock lock(&mutex_);
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
    Score(stream, request.score());
  } else if (request.has_generate()) {
    Generate(stream, request.generate());
  }
}

void FakeWorker::OnStreamClosed(ExecuteReactor* stream) {
  absl::MutexLock lock(&mutex_);
  streams_.erase(stream);
  for (auto it = running_.begin(); it != running_.end();) {
    it = it->second.stream == stream ? running_.erase(it) : std::next(it);
  }
  changed_.SignalAll();
}

void FakeWorker::Generate(ExecuteReactor* stream,
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
  Running running;
  running.command = command;
  running.stream = stream;
  running.held = hold_ || command.prompt_ids_size() == held_prompt_length_;
  if (running.held) {
    running_[command.request_id()] = std::move(running);
  } else {
    while (!StepOne(running)) {
    }
  }
  TellLoad();
}

bool FakeWorker::StepOne(Running& running) {
  const auto& params = running.command.sampling_params();
  ++num_steps_;
  worker::v1::RequestEvent event;
  event.set_request_id(running.command.request_id());
  bool stopped = false;
  for (int i = 0;
       i < kBlockLength && !stopped && running.num_tokens < params.max_tokens();
       ++i) {
    const uint32_t token = token_(running.command, running.num_tokens++);
    event.add_token_ids(token);
    if (params.logprobs() >= 0) {
      auto* logprobs = event.add_logprobs();
      logprobs->set_logprob(-0.5f);
      for (int top = 0; top < params.logprobs(); ++top) {
        logprobs->add_top_ids((token + top) % kVocabSize);
        logprobs->add_top_logprobs(-0.5f - static_cast<float>(top));
      }
    }
    const auto& stops = params.stop_token_ids();
    stopped = std::find(stops.begin(), stops.end(), token) != stops.end() ||
              (token == kEndOfText && !params.ignore_eos());
    if (stopped) event.mutable_done()->set_matched_stop_token_id(token);
  }
  const bool done = stopped || running.num_tokens >= params.max_tokens();
  if (done) {
    event.mutable_done()->set_stopped(stopped);
    event.mutable_done()->set_prompt_tokens(running.command.prompt_ids_size());
    event.mutable_done()->set_completion_tokens(running.num_tokens);
    event.mutable_done()->mutable_queue_time()->set_nanos(1000);
    event.mutable_done()->mutable_total_time()->set_nanos(5000);
  }
  running.stream->Send(event);
  return done;
}

void FakeWorker::Score(ExecuteReactor* stream,
                       const worker::v1::ScoreCommand& command) {
  score_commands_.push_back(command);
  worker::v1::RequestEvent event;
  event.set_request_id(command.request_id());
  for (uint32_t id : command.continuation_ids()) {
    event.add_token_ids(id);
    auto* logprobs = event.add_logprobs();
    logprobs->set_logprob(-0.25f);
    for (int top = 0; top < command.top_logprobs(); ++top) {
      // Greedy decoding would write even ids only.
      logprobs->add_top_ids((id & ~1u) + top);
      logprobs->add_top_logprobs(-0.25f - static_cast<float>(top));
    }
  }
  event.mutable_done()->set_completion_tokens(command.continuation_ids_size());
  stream->Send(event);
}

void FakeWorker::TellLoad() {
  changed_.SignalAll();
  for (LoadReactor* watch : watches_) watch->Send(CurrentLoad());
}

worker::v1::WatchLoadResponse FakeWorker::CurrentLoad() const {
  worker::v1::WatchLoadResponse load;
  load.set_state(state_);
  load.set_running_count(static_cast<int>(running_.size()));
  load.set_step_count(num_steps_);
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
