#include "router/generate_reactors.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "router/call_status.h"
#include "router/duration_proto.h"

namespace blockserve {
namespace {

// Keeps the larger: choices run side by side.
void MergeMax(const google::protobuf::Duration& from,
              google::protobuf::Duration* to) {
  if (FromProto(from) > FromProto(*to)) *to = from;
}

void MergeTimings(const v1::Timings& from, v1::Timings* to) {
  MergeMax(from.queue(), to->mutable_queue());
  MergeMax(from.prefill(), to->mutable_prefill());
  MergeMax(from.first_token(), to->mutable_first_token());
  MergeMax(from.total(), to->mutable_total());
}

}  // namespace

GenerateReactor::GenerateReactor(grpc::CallbackServerContext* context,
                                 v1::GenerateResponse* response,
                                 std::string request_id, std::string model_name,
                                 int num_choices)
    : context_(context),
      response_(response),
      request_id_(std::move(request_id)) {
  response_->set_request_id(request_id_);
  response_->set_model(std::move(model_name));
  for (int i = 0; i < num_choices; ++i) {
    response_->add_choices()->set_index(i);
  }
}

void GenerateReactor::Run(std::shared_ptr<GenerateReactor> self,
                          std::shared_ptr<GenerateCall> call) {
  self_ = std::move(self);
  call_ = std::move(call);
}

void GenerateReactor::Append(int index, v1::GenerateStreamResponse delta) {
  v1::Choice& choice = *response_->mutable_choices(index);
  choice.mutable_text()->append(delta.text_delta());
  choice.mutable_token_ids()->MergeFrom(delta.token_ids());
  for (auto& logprob : *delta.mutable_logprobs()) {
    choice.add_logprobs()->Swap(&logprob);
  }
  if (delta.finish_reason() == v1::FINISH_REASON_UNSPECIFIED) return;
  choice.set_finish_reason(delta.finish_reason());
  if (delta.has_matched_stop()) {
    choice.mutable_matched_stop()->Swap(delta.mutable_matched_stop());
  }
  choice.set_seed(delta.seed());
  choice.set_migration_count(delta.migration_count());
  MergeTimings(delta.timings(), response_->mutable_timings());
}

void GenerateReactor::Restart(int index) {
  v1::Choice& choice = *response_->mutable_choices(index);
  choice.Clear();
  choice.set_index(index);
}

void GenerateReactor::Close(const std::optional<RpcError>& error,
                            const v1::Usage& usage) {
  *response_->mutable_usage() = usage;
  Finish(FinalStatus(context_, error, request_id_, &usage));
}

void GenerateReactor::OnDone() {
  const std::shared_ptr<GenerateReactor> self = std::move(self_);
  call_.reset();
}

GenerateStreamReactor::GenerateStreamReactor(
    grpc::CallbackServerContext* context, SharedWork* shared_work,
    std::string request_id, int num_choices, int stream_interval)
    : context_(context),
      shared_work_(shared_work),
      request_id_(std::move(request_id)),
      stream_interval_(stream_interval),
      pending_(num_choices) {}

void GenerateStreamReactor::Run(std::shared_ptr<GenerateStreamReactor> self,
                                std::shared_ptr<GenerateCall> call) {
  self_ = std::move(self);
  call_ = std::move(call);
}

void GenerateStreamReactor::Append(int index,
                                   v1::GenerateStreamResponse delta) {
  absl::MutexLock lock(&mutex_);
  if (broken_) return;
  Pending& pending = pending_[index];
  if (pending.any) {
    // Lists are joined, the fields of the last message are set once; only text
    // would be replaced.
    std::string text = std::move(*pending.delta.mutable_text_delta());
    text.append(delta.text_delta());
    pending.delta.MergeFrom(delta);
    pending.delta.set_text_delta(std::move(text));
  } else {
    pending.delta = std::move(delta);
    pending.any = true;
  }
  Advance();
}

void GenerateStreamReactor::Restart(int) {
  LOG(FATAL) << "a stream cannot be taken back";
}

void GenerateStreamReactor::Close(const std::optional<RpcError>& error,
                                  const v1::Usage& usage) {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
  error_ = error;
  usage_ = usage;
  // Nobody waits for the rest.
  if (error.has_value() && error->reason == kClientCancelled) DropPending();
  Advance();
}

void GenerateStreamReactor::OnWriteDone(bool ok) {
  FinishWrite(ok);
  // This thread was woken by a thread that most likely has more to write. gRPC
  // keeps the reactor until this returns.
  shared_work_->Help();
}

void GenerateStreamReactor::FinishWrite(bool ok) {
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  if (!ok) {
    broken_ = true;
    DropPending();
  }
  Advance();
}

bool GenerateStreamReactor::MayBeSent(const Pending& pending) const {
  return pending.any &&
         (closed_ || !pending.sent_before ||
          pending.delta.token_ids_size() >= stream_interval_ ||
          pending.delta.finish_reason() != v1::FINISH_REASON_UNSPECIFIED);
}

void GenerateStreamReactor::Advance() {
  if (writing_) return;
  // In turn, so that no choice starves another.
  for (size_t i = 0; i < pending_.size(); ++i) {
    Pending& pending = pending_[(next_choice_ + i) % pending_.size()];
    if (!MayBeSent(pending)) continue;
    next_choice_ = (next_choice_ + i + 1) % pending_.size();
    message_ = std::exchange(pending.delta, {});
    message_.set_request_id(request_id_);
    pending.any = false;
    pending.sent_before = true;
    writing_ = true;
    StartWrite(&message_);
    return;
  }
  if (!closed_) return;
  closed_ = false;  // finish once
  broken_ = true;
  Finish(FinalStatus(context_, error_, request_id_, &usage_));
}

void GenerateStreamReactor::DropPending() {
  for (Pending& pending : pending_) pending = {};
}

void GenerateStreamReactor::OnDone() {
  const std::shared_ptr<GenerateStreamReactor> self = std::move(self_);
  call_.reset();
}

}  // namespace blockserve
