#include "parallel/control/leader_stream.h"

#include <string>
#include <utility>

namespace blockserve {

std::shared_ptr<LeaderStream> LeaderStream::Create(
    grpc::CallbackServerContext* context, Callbacks callbacks) {
  std::shared_ptr<LeaderStream> stream(
      new LeaderStream(context, std::move(callbacks)));
  stream->self_ = stream;
  return stream;
}

void LeaderStream::StartReading() { StartRead(&incoming_); }

void LeaderStream::Send(group::v1::LeaderFrame frame) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (ending_) return;
  frames_.push_back(std::move(frame));
  Advance();
}

void LeaderStream::End(const absl::Status& status, bool at_once) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (ending_) return;
  ending_ = true;
  end_status_ = grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                             std::string(status.message()));
  if (at_once) {
    // A write that waits for a peer that is gone would hold up the end.
    if (writing_) context_->TryCancel();
    frames_.resize(writing_ ? 1 : 0);
  }
  Advance();
}

void LeaderStream::Advance() {
  if (writing_ || finished_) return;
  if (!frames_.empty()) {
    writing_ = true;
    StartWrite(&frames_.front());
  } else if (ending_) {
    finished_ = true;
    Finish(end_status_);
  }
}

void LeaderStream::OnReadDone(bool ok) {
  if (!ok) {
    const absl::Status why = absl::UnavailableError("the rank is gone");
    callbacks_.on_closed(why);
    End(why, /*at_once=*/true);
    return;
  }
  callbacks_.on_frame(incoming_);
  {
    // gRPC orders this and the next read, but inside a library that
    // ThreadSanitizer does not see; our lock it sees.
    const std::lock_guard<std::mutex> lock(mutex_);
    incoming_.Clear();
  }
  StartRead(&incoming_);
}

void LeaderStream::OnWriteDone(bool ok) {
  const std::lock_guard<std::mutex> lock(mutex_);
  writing_ = false;
  frames_.pop_front();
  // After a failed write the read fails too and ends the stream.
  if (!ok) frames_.clear();
  Advance();
}

// The read ends as well and says so; without it the call could not end if a
// write waited for the peer.
void LeaderStream::OnCancel() {
  End(absl::CancelledError("the rank is gone"), /*at_once=*/true);
}

void LeaderStream::OnDone() {
  const std::shared_ptr<LeaderStream> self = std::move(self_);
  {
    // Whoever deletes the stream does so after all calls from gRPC.
    const std::lock_guard<std::mutex> lock(mutex_);
    frames_.clear();
  }
  callbacks_.on_done();
}

}  // namespace blockserve
