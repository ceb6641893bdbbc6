#include "runtime/worker/execute_stream.h"

#include <glog/logging.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "runtime/base/monotonic_clock.h"
#include "runtime/serving/log_line.h"
#include "runtime/worker/error_reason.h"
#include "runtime/worker/worker_conversion.h"

namespace blockserve {

using worker::v1::ExecuteRequest;
using worker::v1::RequestEvent;

std::shared_ptr<ExecuteStream> ExecuteStream::Start(ExecuteContext* context,
                                                    uint64_t number) {
  std::shared_ptr<ExecuteStream> stream(new ExecuteStream(context, number));
  stream->self_ = stream;
  stream->StartRead(&stream->command_);
  return stream;
}

void ExecuteStream::OnReadDone(bool ok) {
  if (ok) {
    Handle(command_);
    StartRead(&command_);
    return;
  }
  // The router will send no more; if it is gone altogether, OnCancel follows.
  absl::MutexLock lock(&mutex_);
  half_closed_ = true;
  Advance();
}

void ExecuteStream::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (ok) {
      in_flight_.Clear();
      Advance();
      return;
    }
  }
  Break();
}

void ExecuteStream::OnCancel() { Break(); }

void ExecuteStream::OnDone() {
  // Kept alive by its requests, if the engine has not ended them yet.
  const std::shared_ptr<ExecuteStream> self = std::move(self_);
  {
    // Whoever deletes the stream does so after all calls from gRPC.
    absl::MutexLock lock(&mutex_);
    finished_ = true;
  }
  context_->on_closed(this);
}

void ExecuteStream::Break() {
  std::vector<std::string> aborted;
  {
    absl::MutexLock lock(&mutex_);
    broken_ = true;
    pending_.Clear();
    ++frame_number_;
    for (const auto& [id, request] : requests_) {
      if (request->abort_cause == AbortCause::kNone) {
        request->abort_cause = AbortCause::kClient;
      }
      aborted.push_back(request->info.engine_id);
    }
    Advance();
  }
  // Not under the lock: the engine may be telling one of them something.
  for (const std::string& id : aborted) context_->engine->Abort(id);
}

void ExecuteStream::End() {
  absl::MutexLock lock(&mutex_);
  ending_ = true;
  Advance();
}

bool ExecuteStream::Abort(const std::string& request_id, AbortCause cause) {
  std::string engine_id;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = requests_.find(request_id);
    if (it == requests_.end()) return false;
    StreamRequest& request = *it->second;
    if (request.abort_cause == AbortCause::kNone) request.abort_cause = cause;
    engine_id = request.info.engine_id;
  }
  context_->engine->Abort(engine_id);
  return true;
}

void ExecuteStream::Handle(const ExecuteRequest& message) {
  Engine& engine = *context_->engine;
  switch (message.message_case()) {
    case ExecuteRequest::kGenerate: {
      const worker::v1::GenerateCommand& command = message.generate();
      const auto request =
          MakeRequest(command.request_id(), command.prompt_ids_size(),
                      command.sampling_params().max_tokens(),
                      /*is_scoring=*/false);
      Submit(request, [&] {
        return engine.Generate(
            ToGenerateRequest(command, request->info.engine_id, absl::Now()),
            request);
      });
      return;
    }
    case ExecuteRequest::kScore: {
      const worker::v1::ScoreCommand& command = message.score();
      const auto request =
          MakeRequest(command.request_id(), command.context_ids_size(),
                      command.continuation_ids_size(), /*is_scoring=*/true);
      Submit(request, [&] {
        return engine.Score(
            ToScoreRequest(command, request->info.engine_id, absl::Now()),
            request);
      });
      return;
    }
    case ExecuteRequest::kAbort:
      // One that has just ended is no error.
      Abort(message.abort().request_id(), AbortCause::kClient);
      return;
    case ExecuteRequest::MESSAGE_NOT_SET:
      LOG(WARNING) << LogLine("unknown_command", {{"stream", number_}});
      return;
  }
}

std::shared_ptr<StreamRequest> ExecuteStream::MakeRequest(
    const std::string& id, int64_t num_prompt_tokens, int64_t num_new_tokens,
    bool is_scoring) {
  StreamRequestInfo info;
  info.id = id;
  info.engine_id = absl::StrCat(number_, ".", ++num_commands_, "/", id);
  info.num_prompt_tokens = static_cast<int>(
      is_scoring ? num_prompt_tokens + num_new_tokens : num_prompt_tokens);
  info.is_scoring = is_scoring;
  info.exceeds_context = num_prompt_tokens + num_new_tokens >
                         context_->engine->options().max_context_tokens;
  return std::make_shared<StreamRequest>(shared_from_this(), std::move(info));
}

void ExecuteStream::Submit(const std::shared_ptr<StreamRequest>& request,
                           const std::function<absl::Status()>& submit) {
  const std::string& id = request->info.id;
  if (id.empty()) {
    Refuse(*request,
           absl::InvalidArgumentError("request_id: must not be empty"));
    return;
  }
  {
    absl::MutexLock lock(&mutex_);
    if (broken_) return;
    std::shared_ptr<StreamRequest>& entry = requests_[id];
    if (entry != nullptr && entry->abort_cause == AbortCause::kNone) {
      // Not refused by an event: that would seem to be the other's end.
      LOG(ERROR) << LogLine("duplicate_request_id",
                            {{"request_id", id}, {"stream", number_}});
      return;
    }
    if (entry != nullptr) entry->is_replaced = true;
    entry = request;
  }
  // An abort that comes before the engine knows the request is made up for
  // afterwards.
  if (const absl::Status status = submit(); !status.ok()) {
    Refuse(*request, status);
    return;
  }
  bool is_aborted = false;
  {
    absl::MutexLock lock(&mutex_);
    is_aborted = request->abort_cause != AbortCause::kNone;
  }
  if (is_aborted) context_->engine->Abort(request->info.engine_id);
}

void ExecuteStream::Refuse(StreamRequest& request, const absl::Status& status) {
  const absl::string_view reason =
      ErrorReason(status, RequestPhase::kWaiting, request.info.exceeds_context,
                  context_->engine->health().ok());
  context_->metrics->OnRefused(status, reason);
  RequestResult result;
  result.status = status;
  result.prompt_tokens = request.info.num_prompt_tokens;
  absl::MutexLock lock(&mutex_);
  Forget(request);
  if (!broken_) SetDone(result, reason, *EventOf(request).mutable_done());
  Advance();
}

void ExecuteStream::Forget(StreamRequest& request) {
  const auto it = requests_.find(request.info.id);
  if (it != requests_.end() && it->second.get() == &request) {
    requests_.erase(it);
  }
}

void ExecuteStream::DeliverTokens(StreamRequest& request,
                                  const TokenDelta& delta) {
  WorkerMetrics& metrics = *context_->metrics;
  const absl::Time now = MonotonicNow();
  const bool is_first = request.last_tokens_time == absl::InfinitePast();
  if (is_first) metrics.OnPrompt(request.info.num_prompt_tokens);
  if (!request.info.is_scoring) {
    const int num_tokens = static_cast<int>(delta.tokens.size());
    if (is_first) {
      metrics.OnFirstToken(now - request.submit_time);
      metrics.OnTokens(num_tokens, std::nullopt);
    } else {
      metrics.OnTokens(num_tokens, now - request.last_tokens_time);
    }
  }
  request.last_tokens_time = now;

  absl::MutexLock lock(&mutex_);
  if (broken_ || request.abort_cause == AbortCause::kClient) return;
  AppendTokens(delta, EventOf(request));
  ScheduleFlush();
}

void ExecuteStream::DeliverResult(StreamRequest& request,
                                  const RequestResult& result) {
  context_->metrics->OnEnded(result, request.info.is_scoring);
  const bool is_healthy = context_->engine->health().ok();
  absl::string_view reason = ErrorReason(
      result.status, PhaseOf(result), request.info.exceeds_context, is_healthy);
  if (reason == "DRAINING") ++context_->num_ended_by_drain;
  absl::MutexLock lock(&mutex_);
  if (absl::IsCancelled(result.status) &&
      request.abort_cause == AbortCause::kAbortRpc) {
    reason = "ABORT_RPC";
  }
  if (context_->log_requests || reason == "ENGINE_ERROR") {
    LOG(INFO) << LogLine(
        "request_done",
        {{"request_id", request.info.id},
         {"code", absl::StatusCodeToString(result.status.code())},
         {"reason", reason},
         {"prompt_tokens", result.prompt_tokens},
         {"completion_tokens", result.completion_tokens},
         {"queue_s", absl::ToDoubleSeconds(result.timings.queue)},
         {"total_s", absl::ToDoubleSeconds(result.timings.total)}});
  }
  Forget(request);
  if (!broken_ && !request.is_replaced) {
    SetDone(result, reason, *EventOf(request).mutable_done());
  }
  ScheduleFlush();
}

RequestEvent& ExecuteStream::EventOf(StreamRequest& request) {
  if (request.pending_frame != frame_number_) {
    request.pending_frame = frame_number_;
    request.pending_event = pending_.add_events();
    request.pending_event->set_request_id(request.info.id);
  }
  return *request.pending_event;
}

void ExecuteStream::ScheduleFlush() {
  // A write under way goes on with the next frame when it is done.
  if (writing_ || flush_scheduled_ || finished_) return;
  flush_scheduled_ = true;
  context_->writer->Schedule(shared_from_this());
}

void ExecuteStream::Flush() {
  absl::MutexLock lock(&mutex_);
  flush_scheduled_ = false;
  Advance();
}

// Sends the pending frame, or ends the call, if it is time for either.
void ExecuteStream::Advance() {
  if (writing_ || finished_) return;
  if (!broken_ && pending_.events_size() > 0) {
    in_flight_.Swap(&pending_);
    ++frame_number_;
    writing_ = true;
    StartWrite(&in_flight_);
    return;
  }
  const bool has_ended = requests_.empty() && (half_closed_ || ending_);
  if (!broken_ && !has_ended) return;
  finished_ = true;
  Finish(broken_   ? grpc::Status::CANCELLED
         : ending_ ? grpc::Status(grpc::StatusCode::UNAVAILABLE,
                                  "the worker is shutting down")
                   : grpc::Status::OK);
}

StreamRequest::StreamRequest(std::shared_ptr<ExecuteStream> stream,
                             StreamRequestInfo info)
    : info(std::move(info)), stream_(std::move(stream)) {}

StreamRequest::~StreamRequest() = default;

void StreamRequest::OnTokens(const TokenDelta& delta) {
  stream_->DeliverTokens(*this, delta);
}

void StreamRequest::OnDone(const RequestResult& result) {
  stream_->DeliverResult(*this, result);
}

}  // namespace blockserve
