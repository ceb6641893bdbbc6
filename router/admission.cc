#include "router/admission.h"

#include "absl/strings/str_cat.h"

namespace blockserve {

Admission::Ticket::~Ticket() {
  admission_->GiveBack(num_sequences_, prompt_tokens_);
}

void Admission::Ticket::StopWaiting() {
  if (prompt_tokens_ == 0) return;
  admission_->GiveBack(0, prompt_tokens_);
  prompt_tokens_ = 0;
}

std::variant<std::unique_ptr<Admission::Ticket>, RpcError> Admission::Admit(
    int num_sequences, int64_t prompt_tokens) {
  absl::MutexLock lock(&mutex_);
  if (num_outstanding_ + num_sequences > options_.max_outstanding_requests) {
    return QueueFullError("outstanding_requests",
                          absl::StrCat(num_outstanding_, " of ",
                                       options_.max_outstanding_requests,
                                       " requests are outstanding"),
                          options_.retry_delay);
  }
  if (waiting_prompt_tokens_ > 0 && waiting_prompt_tokens_ + prompt_tokens >
                                        options_.max_waiting_prompt_tokens) {
    return QueueFullError(
        "waiting_prompt_tokens",
        absl::StrCat(
            waiting_prompt_tokens_, " of ", options_.max_waiting_prompt_tokens,
            " prompt tokens are waiting, the request has ", prompt_tokens),
        options_.retry_delay);
  }
  num_outstanding_ += num_sequences;
  waiting_prompt_tokens_ += prompt_tokens;
  return std::unique_ptr<Ticket>(
      new Ticket(this, num_sequences, prompt_tokens));
}

void Admission::GiveBack(int num_sequences, int64_t prompt_tokens) {
  absl::MutexLock lock(&mutex_);
  num_outstanding_ -= num_sequences;
  waiting_prompt_tokens_ -= prompt_tokens;
}

int Admission::num_outstanding() const {
  absl::MutexLock lock(&mutex_);
  return num_outstanding_;
}

int64_t Admission::waiting_prompt_tokens() const {
  absl::MutexLock lock(&mutex_);
  return waiting_prompt_tokens_;
}

}  // namespace blockserve
