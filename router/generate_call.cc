#include "router/generate_call.h"

#include <utility>

#include "router/duration_proto.h"
#include "runtime/base/monotonic_clock.h"

namespace blockserve {

GenerateCall::GenerateCall(const CallContext& context, const CallInfo& info,
                           const GenerateSpec& spec, const ServedModel& model,
                           std::unique_ptr<Admission::Ticket> ticket,
                           std::shared_ptr<GenerateOutput> output)
    : context_(context),
      info_(info),
      spec_(spec),
      model_(model),
      restart_after_tokens_(output->buffers_all()),
      ticket_(std::move(ticket)),
      output_(std::move(output)),
      choices_(spec.num_choices),
      num_running_(spec.num_choices) {}

void GenerateCall::Start() {
  std::vector<std::shared_ptr<RoutedRequest>> requests;
  {
    absl::MutexLock lock(&mutex_);
    for (size_t i = 0; i < choices_.size(); ++i) {
      const int index = static_cast<int>(i);
      choices_[i].seed = ChoiceSeed(spec_.sampling.seed(), index);
      choices_[i].decoder = NewDecoder();
      choices_[i].request = NewRequest(index, choices_[i].seed);
      requests.push_back(choices_[i].request);
    }
  }
  context_.registry->Add(info_.request_id, info_.deadline, shared_from_this());
  // Without the lock: an error comes back at once. It cancels the rest, which
  // then do not start.
  for (const auto& request : requests) request->Start();
  context_.metrics->Dispatched(MonotonicNow() - info_.arrival);
}

std::unique_ptr<ChoiceDecoder> GenerateCall::NewDecoder() const {
  ChoiceDecoderOptions options;
  options.tokenizer = context_.tokenizer;
  options.text = spec_.text;
  options.stop_token_ids.assign(spec_.sampling.stop_token_ids().begin(),
                                spec_.sampling.stop_token_ids().end());
  if (!spec_.sampling.ignore_eos()) {
    options.stop_token_ids.push_back(model_.eos_token_id);
  }
  options.include_stop_token_text = spec_.include_stop_token_text;
  return std::make_unique<ChoiceDecoder>(std::move(options));
}

std::shared_ptr<RoutedRequest> GenerateCall::NewRequest(int index,
                                                        uint64_t seed) {
  RoutedRequestOptions options;
  options.request_id = info_.request_id;
  options.index = index;
  options.blocks = model_.NumBlocks(spec_.prompt_ids.size()) +
                   model_.NumBlocks(spec_.sampling.max_tokens());
  options.deadline = info_.deadline;
  options.resume = context_.resume;
  options.restart_after_tokens = restart_after_tokens_;
  auto* command = options.command.mutable_generate();
  command->mutable_prompt_ids()->Add(spec_.prompt_ids.begin(),
                                     spec_.prompt_ids.end());
  *command->mutable_sampling_params() = spec_.sampling;
  command->mutable_sampling_params()->set_seed(seed);
  return std::make_shared<RoutedRequest>(context_.fleet, context_.metrics,
                                         context_.random, std::move(options),
                                         shared_from_this());
}

void GenerateCall::OnRoutedEvent(int index,
                                 const worker::v1::RequestEvent& event) {
  absl::MutexLock lock(&mutex_);
  if (ended_ || choices_[index].done) return;
  Choice& choice = choices_[index];
  if (event.token_ids_size() > 0) NoteFirstToken();
  v1::GenerateStreamResponse delta;
  delta.set_index(index);
  choice.decoder->Decode(event, &delta);
  if (delta.finish_reason() != v1::FINISH_REASON_UNSPECIFIED) {
    choice.done = true;
    --num_running_;
    finish_reason_ = delta.finish_reason();
    // A stop string ends a sequence of which the worker knows nothing.
    if (!event.has_done()) choice.request->Cancel();
    FillEnd(choice, event, &delta);
  } else if (delta.token_ids().empty() && delta.text_delta().empty()) {
    return;
  }
  output_->Append(index, std::move(delta));
  if (num_running_ == 0) EndLocked(std::nullopt);
}

void GenerateCall::NoteFirstToken() {
  if (started_) return;
  started_ = true;
  first_token_ = MonotonicNow();
  ticket_->StopWaiting();
  context_.metrics->FirstToken(first_token_ - info_.arrival);
}

void GenerateCall::FillEnd(const Choice& choice,
                           const worker::v1::RequestEvent& event,
                           v1::GenerateStreamResponse* delta) {
  delta->set_seed(choice.seed);
  const int num_migrations = choice.request->num_migrations();
  delta->set_migration_count(num_migrations);
  *delta->mutable_usage() = CurrentUsage();
  v1::Timings& timings = *delta->mutable_timings();
  if (event.has_done()) {
    *timings.mutable_queue() = event.done().queue_time();
    *timings.mutable_prefill() = event.done().prefill_time();
    *timings.mutable_first_token() = event.done().first_token_time();
    *timings.mutable_total() = event.done().total_time();
    if (num_migrations == 0) return;
  }
  // Cut at a stop string, the worker's own times never come; after a move the
  // last worker's are those of its part.
  if (started_) {
    SetDuration(first_token_ - info_.arrival, *timings.mutable_first_token());
  }
  SetDuration(MonotonicNow() - info_.arrival, *timings.mutable_total());
}

v1::Usage GenerateCall::CurrentUsage() const {
  v1::Usage usage;
  usage.set_prompt_tokens(static_cast<int32_t>(spec_.prompt_ids.size()));
  for (const Choice& choice : choices_) {
    if (choice.decoder == nullptr) continue;
    usage.set_completion_tokens(usage.completion_tokens() +
                                choice.decoder->num_tokens());
  }
  return usage;
}

void GenerateCall::OnRoutedRestart(int index) {
  absl::MutexLock lock(&mutex_);
  if (ended_ || choices_[index].done) return;
  choices_[index].decoder = NewDecoder();
  output_->Restart(index);
}

void GenerateCall::OnRoutedError(int index, const RpcError& error) {
  absl::MutexLock lock(&mutex_);
  if (ended_ || choices_[index].done) return;
  if (error.reason == kWorkerLostMidStream) {
    // What the client has of all choices.
    EndLocked(WorkerLostMidStreamError(CurrentUsage().completion_tokens()));
    return;
  }
  EndLocked(error);
}

void GenerateCall::End(const RpcError& error) {
  absl::MutexLock lock(&mutex_);
  if (!ended_) EndLocked(error);
}

void GenerateCall::EndForClient() {
  absl::MutexLock lock(&mutex_);
  if (ended_) return;
  EndLocked(MonotonicNow() >= info_.deadline ? TimeoutError(started_)
                                             : ClientCancelledError());
}

bool GenerateCall::started() const {
  absl::MutexLock lock(&mutex_);
  return started_;
}

void GenerateCall::EndLocked(std::optional<RpcError> error) {
  ended_ = true;
  for (const Choice& choice : choices_) {
    if (!choice.done && choice.request != nullptr) choice.request->Cancel();
  }
  ticket_.reset();
  context_.registry->Remove(info_.request_id, this);
  RequestOutcome outcome;
  outcome.latency = MonotonicNow() - info_.arrival;
  if (error.has_value()) {
    outcome.code = error->code;
    outcome.reason = error->reason;
  } else {
    outcome.finish_reason = finish_reason_;
  }
  context_.metrics->RequestEnded(outcome);
  const std::shared_ptr<GenerateOutput> output = std::move(output_);
  output->Close(error, CurrentUsage());
  // Each sequence refers back to this call.
  for (Choice& choice : choices_) choice.request.reset();
}

}  // namespace blockserve
