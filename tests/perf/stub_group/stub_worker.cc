#include "tests/perf/stub_group/stub_worker.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "router/served_model.h"
#include "runtime/base/monotonic_clock.h"

namespace blockserve {
namespace {

using ExecuteStream = grpc::ServerReaderWriter<worker::v1::ExecuteResponse,
                                               worker::v1::ExecuteRequest>;

constexpr absl::Duration kLoadInterval = absl::Milliseconds(100);

struct Running {
  std::string id;
  int prompt_tokens = 0;
  int num_tokens = 0;  // written so far, or to resume after
  int max_tokens = 0;
};

// Commands of one stream, from the thread that reads to the one that steps.
class CommandQueue {
 public:
  // Blocks until the stream ends.
  void ReadAll(ExecuteStream& stream) {
    worker::v1::ExecuteRequest request;
    while (stream.Read(&request)) {
      const std::lock_guard<std::mutex> lock(mutex_);
      commands_.push_back(std::move(request));
      changed_.notify_one();
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    changed_.notify_one();
  }

  // Blocks until there is something to take or the stream has ended.
  void Await() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return closed_ || !commands_.empty(); });
  }

  // Takes what there is. False when the stream has ended.
  bool Take(std::vector<worker::v1::ExecuteRequest>* commands) {
    commands->clear();
    const std::lock_guard<std::mutex> lock(mutex_);
    commands_.swap(*commands);
    return !closed_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<worker::v1::ExecuteRequest> commands_;
  bool closed_ = false;
};

// The requests of one stream.
class StubBatch {
 public:
  explicit StubBatch(const StubWorkerOptions& options) : options_(options) {}

  int num_running() const { return static_cast<int>(running_.size()); }

  void Apply(const worker::v1::ExecuteRequest& request) {
    if (request.has_generate()) {
      const worker::v1::GenerateCommand& command = request.generate();
      running_.push_back({command.request_id(), command.prompt_ids_size(),
                          command.resume_ids_size(),
                          command.sampling_params().max_tokens()});
    } else if (request.has_abort()) {
      std::erase_if(running_, [&](const Running& running) {
        return running.id == request.abort().request_id();
      });
    }
  }

  // A block of every request.
  worker::v1::ExecuteResponse Step() {
    worker::v1::ExecuteResponse frame;
    frame.mutable_events()->Reserve(num_running());
    for (Running& running : running_) WriteBlock(running, frame.add_events());
    std::erase_if(running_, [](const Running& running) {
      return running.num_tokens >= running.max_tokens;
    });
    return frame;
  }

 private:
  void WriteBlock(Running& running, worker::v1::RequestEvent* event) const {
    event->set_request_id(running.id);
    const int count = std::min(options_.block_length,
                               running.max_tokens - running.num_tokens);
    for (int i = 0; i < count; ++i) {
      event->add_token_ids((running.prompt_tokens + running.num_tokens + i) %
                           options_.vocab_size);
    }
    running.num_tokens += count;
    if (running.num_tokens < running.max_tokens) return;
    event->mutable_done()->set_prompt_tokens(running.prompt_tokens);
    event->mutable_done()->set_completion_tokens(running.num_tokens);
  }

  const StubWorkerOptions& options_;
  // The first come first, as StubStepper has them.
  std::vector<Running> running_;
};

}  // namespace

absl::Time NextStep(const StubWorkerOptions& options, absl::Time now) {
  if (options.step_time == absl::ZeroDuration()) return now;
  return absl::UnixEpoch() +
         absl::Ceil(now - absl::UnixEpoch(), options.step_time);
}

grpc::Status StubWorker::Execute(grpc::ServerContext* context,
                                 ExecuteStream* stream) {
  CommandQueue queue;
  std::thread reader([&] { queue.ReadAll(*stream); });
  StubBatch batch(options_);
  std::vector<worker::v1::ExecuteRequest> commands;
  while (true) {
    if (batch.num_running() == 0) queue.Await();
    absl::SleepFor(NextStep(options_, MonotonicNow()) - MonotonicNow());
    if (!queue.Take(&commands)) break;
    const int before = batch.num_running();
    for (const auto& command : commands) batch.Apply(command);
    if (batch.num_running() == 0) continue;
    num_running_ += batch.num_running() - before;
    const int during = batch.num_running();
    const bool ok = stream->Write(batch.Step());
    num_running_ += batch.num_running() - during;
    ++num_steps_;
    if (!ok) break;
  }
  num_running_ -= batch.num_running();
  context->TryCancel();
  reader.join();
  return grpc::Status::OK;
}

grpc::Status StubWorker::WatchLoad(
    grpc::ServerContext* context, const worker::v1::WatchLoadRequest*,
    grpc::ServerWriter<worker::v1::WatchLoadResponse>* writer) {
  worker::v1::WatchLoadResponse load;
  load.set_state(worker::v1::WORKER_STATE_SERVING);
  load.set_group_epoch(1);
  while (!context->IsCancelled()) {
    load.set_running_count(num_running_);
    load.set_step_count(num_steps_);
    if (!writer->Write(load)) break;
    absl::SleepFor(kLoadInterval);
  }
  return grpc::Status::OK;
}

grpc::Status StubWorker::GetIdentity(
    grpc::ServerContext*, const worker::v1::GetIdentityRequest*,
    worker::v1::GetIdentityResponse* response) {
  response->set_worker_id("stub");
  response->set_instance_id("stub-1");
  response->set_group_epoch(1);
  response->set_state(worker::v1::WORKER_STATE_SERVING);
  response->set_model_name("stub");
  response->set_family("block_transformer");
  response->set_block_length(options_.block_length);
  response->set_vocab_size(options_.vocab_size);
  response->set_context_length(options_.context_length);
  response->set_dtype("none");
  response->set_backend("stub");
  response->set_protocol_version(kWorkerProtocolVersion);
  return grpc::Status::OK;
}

}  // namespace blockserve
