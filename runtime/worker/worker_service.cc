#include "runtime/worker/worker_service.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "runtime/serving/log_line.h"
#include "runtime/worker/worker_conversion.h"

namespace blockserve {
namespace {

using worker::v1::AbortRequest;
using worker::v1::AbortResponse;
using worker::v1::DrainRequest;
using worker::v1::DrainResponse;
using worker::v1::ExecuteRequest;
using worker::v1::ExecuteResponse;
using worker::v1::GetIdentityRequest;
using worker::v1::GetIdentityResponse;
using worker::v1::GetTopologyRequest;
using worker::v1::GetTopologyResponse;
using worker::v1::RankInfo;
using worker::v1::WatchLoadRequest;
using worker::v1::WatchLoadResponse;
using worker::v1::WorkerState;

constexpr absl::Duration kLongestDrain = absl::Hours(24);

grpc::Status Starting() {
  return grpc::Status(grpc::StatusCode::UNAVAILABLE,
                      "the worker is loading its model");
}

grpc::Status ShuttingDown() {
  return grpc::Status(grpc::StatusCode::UNAVAILABLE,
                      "the worker is shutting down");
}

// Ends an Execute call that is not taken.
class RefusedStream final
    : public grpc::ServerBidiReactor<ExecuteRequest, ExecuteResponse> {
 public:
  explicit RefusedStream(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

}  // namespace

WorkerService::WorkerService(WorkerServiceOptions options,
                             WorkerMetrics* metrics)
    : options_(std::move(options)),
      load_reporter_([this] { return ReadLoad(); }) {
  context_.metrics = metrics;
  context_.writer = &writer_;
  context_.log_requests = options_.log_requests;
  context_.on_closed = [this](ExecuteStream* stream) {
    absl::MutexLock lock(&mutex_);
    streams_.erase(stream);
  };
}

WorkerService::~WorkerService() {
  if (drain_thread_.joinable()) drain_thread_.join();
}

void WorkerService::SetEngine(Engine* engine, GetIdentityResponse identity) {
  {
    absl::MutexLock lock(&mutex_);
    CHECK(engine_ == nullptr);
    context_.engine = engine;
    engine_ = engine;
    identity_ = std::move(identity);
    identity_.set_protocol_version(kWorkerProtocolVersion);
  }
  load_reporter_.Notify();
  if (options_.on_ready) options_.on_ready(true);
}

void WorkerService::SetGroupBroken() {
  load_reporter_.Notify();
  if (options_.on_ready) options_.on_ready(false);
}

void WorkerService::SetGroupFormed(uint64_t epoch) {
  bool is_ready = false;
  {
    absl::MutexLock lock(&mutex_);
    identity_.set_group_epoch(epoch);
    is_ready = !draining_;
  }
  load_reporter_.Notify();
  if (options_.on_ready) options_.on_ready(is_ready);
}

int WorkerService::Drain(absl::Time deadline) {
  Engine* engine = nullptr;
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    engine = engine_;
  }
  load_reporter_.Notify();
  if (options_.on_ready) options_.on_ready(false);
  if (engine == nullptr) return 0;
  const int aborted_before = context_.num_ended_by_drain.load();
  engine->Drain(deadline);
  load_reporter_.Notify();
  return context_.num_ended_by_drain.load() - aborted_before;
}

void WorkerService::Shutdown() {
  std::vector<std::shared_ptr<ExecuteStream>> streams;
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    shut_down_ = true;
    for (const auto& [key, stream] : streams_) streams.push_back(stream);
  }
  load_reporter_.Shutdown();
  for (const std::shared_ptr<ExecuteStream>& stream : streams) stream->End();
}

WorkerState WorkerService::state() const {
  absl::MutexLock lock(&mutex_);
  return StateLocked();
}

WorkerState WorkerService::StateLocked() const {
  if (shut_down_) return worker::v1::WORKER_STATE_NOT_SERVING;
  if (draining_) return worker::v1::WORKER_STATE_DRAINING;
  if (engine_ == nullptr) return worker::v1::WORKER_STATE_STARTING;
  return engine_->health().ok() ? worker::v1::WORKER_STATE_SERVING
                                : worker::v1::WORKER_STATE_NOT_SERVING;
}

WatchLoadResponse WorkerService::ReadLoad() const {
  absl::MutexLock lock(&mutex_);
  WatchLoadResponse load = ToLoad(
      engine_ == nullptr ? EngineLoad() : engine_->load(), StateLocked());
  load.set_group_epoch(identity_.group_epoch());
  return load;
}

grpc::ServerBidiReactor<ExecuteRequest, ExecuteResponse>*
WorkerService::Execute(grpc::CallbackServerContext* /*context*/) {
  absl::MutexLock lock(&mutex_);
  if (engine_ == nullptr) return new RefusedStream(Starting());
  if (shut_down_) return new RefusedStream(ShuttingDown());
  std::shared_ptr<ExecuteStream> stream =
      ExecuteStream::Start(&context_, ++num_streams_);
  ExecuteStream* const reactor = stream.get();
  streams_.emplace(reactor, std::move(stream));
  return reactor;
}

grpc::ServerUnaryReactor* WorkerService::Abort(
    grpc::CallbackServerContext* context, const AbortRequest* request,
    AbortResponse* /*response*/) {
  std::vector<std::shared_ptr<ExecuteStream>> streams;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [key, stream] : streams_) streams.push_back(stream);
  }
  for (const std::shared_ptr<ExecuteStream>& stream : streams) {
    stream->Abort(request->request_id(), AbortCause::kAbortRpc);
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerWriteReactor<WatchLoadResponse>* WorkerService::WatchLoad(
    grpc::CallbackServerContext* /*context*/, const WatchLoadRequest* request) {
  return load_reporter_.Watch(*request);
}

grpc::ServerUnaryReactor* WorkerService::GetIdentity(
    grpc::CallbackServerContext* context, const GetIdentityRequest* /*request*/,
    GetIdentityResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  absl::MutexLock lock(&mutex_);
  if (engine_ == nullptr) {
    reactor->Finish(Starting());
    return reactor;
  }
  *response = identity_;
  response->set_state(StateLocked());
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerUnaryReactor* WorkerService::GetTopology(
    grpc::CallbackServerContext* context, const GetTopologyRequest* /*request*/,
    GetTopologyResponse* response) {
  const WorkerState now = state();
  const bool is_up = now == worker::v1::WORKER_STATE_SERVING ||
                     now == worker::v1::WORKER_STATE_DRAINING;
  const WorkerTopology topology =
      options_.topology ? options_.topology()
                        : WorkerTopology{.version = 1, .rank_up = {true}};
  response->set_topology_version(topology.version);
  response->set_world_size(static_cast<int>(topology.rank_up.size()));
  for (size_t r = 0; r < topology.rank_up.size(); ++r) {
    RankInfo& rank = *response->add_ranks();
    rank.set_rank(static_cast<int>(r));
    rank.set_up(topology.rank_up[r] && (r > 0 || is_up));
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerUnaryReactor* WorkerService::Drain(
    grpc::CallbackServerContext* context, const DrainRequest* request,
    DrainResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::Duration timeout =
      request->has_timeout() ? std::clamp(FromProto(request->timeout()),
                                          absl::ZeroDuration(), kLongestDrain)
                             : options_.drain_timeout;
  LOG(INFO) << LogLine("drain_called",
                       {{"timeout", absl::FormatDuration(timeout)}});
  const absl::Time deadline = absl::Now() + timeout;
  absl::MutexLock lock(&mutex_);
  if (drain_thread_.joinable()) {
    reactor->Finish(grpc::Status(grpc::StatusCode::FAILED_PRECONDITION,
                                 "the worker was told to drain before"));
    return reactor;
  }
  // Drain blocks, which a callback of gRPC's must not.
  drain_thread_ = std::thread([this, reactor, response, deadline] {
    response->set_aborted_count(Drain(deadline));
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

}  // namespace blockserve
