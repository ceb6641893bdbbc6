#include "router/testing/fake_worker_streams.h"

#include <utility>

namespace blockserve {

FakeExecuteStream::FakeExecuteStream(Callbacks callbacks)
    : callbacks_(std::move(callbacks)) {
  StartRead(&request_);
}

void FakeExecuteStream::Send(const worker::v1::RequestEvent& event) {
  absl::MutexLock lock(&mutex_);
  if (ending_) return;
  worker::v1::ExecuteResponse response;
  *response.add_events() = event;
  queue_.push_back(std::move(response));
  Advance();
}

void FakeExecuteStream::End(const grpc::Status& status) {
  absl::MutexLock lock(&mutex_);
  if (ending_) return;
  ending_ = true;
  status_ = status;
  Advance();
}

void FakeExecuteStream::OnReadDone(bool ok) {
  if (!ok) {
    End(grpc::Status::OK);
    return;
  }
  callbacks_.on_command(this, request_);
  StartRead(&request_);
}

void FakeExecuteStream::OnWriteDone(bool) {
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  queue_.pop_front();
  Advance();
}

void FakeExecuteStream::OnDone() {
  callbacks_.on_closed(this);
  delete this;
}

void FakeExecuteStream::Advance() {
  if (writing_ || finished_) return;
  if (!queue_.empty()) {
    writing_ = true;
    StartWrite(&queue_.front());
  } else if (ending_) {
    finished_ = true;
    Finish(status_);
  }
}

void FakeLoadStream::Send(const worker::v1::WatchLoadResponse& load) {
  absl::MutexLock lock(&mutex_);
  next_ = load;
  dirty_ = true;
  Advance();
}

void FakeLoadStream::OnWriteDone(bool) {
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  Advance();
}

void FakeLoadStream::OnCancel() {
  absl::MutexLock lock(&mutex_);
  ending_ = true;
  Advance();
}

void FakeLoadStream::OnDone() {
  on_closed_(this);
  delete this;
}

void FakeLoadStream::Advance() {
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

}  // namespace blockserve
