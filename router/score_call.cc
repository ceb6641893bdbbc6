#include "router/score_call.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "router/call_status.h"
#include "router/choice_decoder.h"
#include "runtime/base/monotonic_clock.h"

namespace blockserve {

ScoreCall::ScoreCall(const CallContext& context, const CallInfo& info,
                     const ScoreSpec& spec, const ServedModel& model,
                     std::unique_ptr<Admission::Ticket> ticket,
                     grpc::CallbackServerContext* server_context,
                     v1::ScoreResponse* response)
    : context_(context),
      info_(info),
      spec_(spec),
      model_(model),
      server_context_(server_context),
      ticket_(std::move(ticket)),
      response_(response) {
  response->set_request_id(info_.request_id);
  response->set_model(model_.name);
}

void ScoreCall::Start() {
  self_ = shared_from_this();
  RoutedRequestOptions options;
  options.request_id = info_.request_id;
  options.blocks = model_.NumBlocks(spec_.context_ids.size()) +
                   model_.NumBlocks(spec_.continuation_ids.size());
  options.deadline = info_.deadline;
  options.restart_after_tokens = true;
  auto* command = options.command.mutable_score();
  command->mutable_context_ids()->Add(spec_.context_ids.begin(),
                                      spec_.context_ids.end());
  command->mutable_continuation_ids()->Add(spec_.continuation_ids.begin(),
                                           spec_.continuation_ids.end());
  // The best one is always wanted: it tells whether the token is greedy's.
  command->set_top_logprobs(std::max(1, spec_.top_logprobs));
  auto request = std::make_shared<RoutedRequest>(
      context_.fleet, context_.metrics, context_.random, std::move(options),
      shared_from_this());
  {
    absl::MutexLock lock(&mutex_);
    response_->set_is_greedy(true);
    request_ = request;
  }
  context_.registry->Add(info_.request_id, info_.deadline, shared_from_this());
  request->Start();
  context_.metrics->Dispatched(MonotonicNow() - info_.arrival);
}

void ScoreCall::OnRoutedEvent(int, const worker::v1::RequestEvent& event) {
  absl::MutexLock lock(&mutex_);
  if (ended_) return;
  if (event.token_ids_size() > 0 && !started_) {
    started_ = true;
    ticket_->StopWaiting();
  }
  const int count = std::min(event.token_ids_size(), event.logprobs_size());
  for (int i = 0; i < count; ++i) {
    AddLogprob(event.token_ids(i), event.logprobs(i));
  }
  if (!event.has_done()) return;
  const size_t expected = spec_.continuation_ids.size();
  const size_t got = response_->logprobs_size();
  if (got != expected) {
    RpcError error;
    error.message =
        absl::StrCat("the worker scored ", got, " of ", expected, " tokens");
    EndLocked(error);
    return;
  }
  EndLocked(std::nullopt);
}

void ScoreCall::AddLogprob(uint32_t token_id,
                           const worker::v1::TokenLogprobs& logprobs) {
  v1::TokenLogprob* out = response_->add_logprobs();
  *out = ToTokenLogprob(token_id, logprobs, context_.tokenizer);
  if (out->top().empty() || out->top(0).token_id() != token_id) {
    response_->set_is_greedy(false);
  }
  while (out->top_size() > spec_.top_logprobs) out->mutable_top()->RemoveLast();
  response_->set_total_logprob(response_->total_logprob() + logprobs.logprob());
}

void ScoreCall::OnRoutedRestart(int) {
  absl::MutexLock lock(&mutex_);
  if (ended_) return;
  response_->clear_logprobs();
  response_->set_total_logprob(0);
  response_->set_is_greedy(true);
}

void ScoreCall::OnRoutedError(int, const RpcError& error) { End(error); }

void ScoreCall::End(const RpcError& error) {
  absl::MutexLock lock(&mutex_);
  if (!ended_) EndLocked(error);
}

bool ScoreCall::started() const {
  absl::MutexLock lock(&mutex_);
  return started_;
}

void ScoreCall::OnCancel() {
  absl::MutexLock lock(&mutex_);
  if (ended_) return;
  EndLocked(MonotonicNow() >= info_.deadline ? TimeoutError(started_)
                                             : ClientCancelledError());
}

void ScoreCall::EndLocked(const std::optional<RpcError>& error) {
  ended_ = true;
  request_->Cancel();
  ticket_.reset();
  context_.registry->Remove(info_.request_id, this);
  RequestOutcome outcome;
  outcome.latency = MonotonicNow() - info_.arrival;
  if (error.has_value()) {
    outcome.code = error->code;
    outcome.reason = error->reason;
  }
  context_.metrics->RequestEnded(outcome);
  v1::Usage* usage = response_->mutable_usage();
  usage->set_prompt_tokens(static_cast<int32_t>(spec_.context_ids.size() +
                                                spec_.continuation_ids.size()));
  request_.reset();
  Finish(FinalStatus(server_context_, error, info_.request_id, usage));
}

void ScoreCall::OnDone() {
  const std::shared_ptr<ScoreCall> self = std::move(self_);
}

}  // namespace blockserve
