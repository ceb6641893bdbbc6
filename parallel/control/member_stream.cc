#include "parallel/control/member_stream.h"

#include <utility>

namespace blockserve {
namespace {

constexpr int kMaxReceiveBytes = 80 << 20;  // the blobs of all ranks
constexpr int kKeepaliveMillis = 10000;

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address,
                                           absl::Duration connect_timeout,
                                           absl::Duration step_timeout) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, kMaxReceiveBytes);
  // The time that a connection attempt may take.
  arguments.SetInt(
      GRPC_ARG_MIN_RECONNECT_BACKOFF_MS,
      static_cast<int>(absl::ToInt64Milliseconds(connect_timeout)));
  // Heartbeats find a lost leader; pings keep middle boxes from forgetting the
  // connection. Their timeout is also TCP's, which must not be the stricter.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMillis);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                   static_cast<int>(absl::ToInt64Milliseconds(step_timeout)));
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(),
                                   arguments);
}

}  // namespace

std::shared_ptr<MemberStream> MemberStream::Open(
    const std::string& leader_address, absl::Duration connect_timeout,
    absl::Duration step_timeout, Callbacks callbacks) {
  std::shared_ptr<MemberStream> stream(new MemberStream(std::move(callbacks)));
  stream->stub_ = group::v1::GroupService::NewStub(
      MakeChannel(leader_address, connect_timeout, step_timeout));
  stream->stub_->async()->Join(&stream->context_, stream.get());
  // Writes come from outside gRPC's reactions: the hold keeps OnDone away until
  // the read side has ended and no more writes can begin.
  stream->AddHold();
  stream->StartRead(&stream->incoming_);
  stream->StartCall();
  return stream;
}

void MemberStream::Send(group::v1::MemberFrame frame) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) return;
  frames_.push_back(std::move(frame));
  WriteNext();
}

void MemberStream::WriteNext() {
  if (writing_ || closed_ || frames_.empty()) return;
  writing_ = true;
  // Under the lock, so that the hold cannot be given up in between.
  StartWrite(&frames_.front());
}

void MemberStream::OnWriteDone(bool ok) {
  const std::lock_guard<std::mutex> lock(mutex_);
  writing_ = false;
  frames_.pop_front();
  // After a failed write the read fails too and ends the stream.
  if (ok) WriteNext();
}

void MemberStream::OnReadDone(bool ok) {
  if (ok) {
    callbacks_.on_frame(incoming_);
    {
      // gRPC orders this and the next read, but inside a library that
      // ThreadSanitizer does not see; our lock it sees.
      const std::lock_guard<std::mutex> lock(mutex_);
      incoming_.Clear();
    }
    StartRead(&incoming_);
    return;
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
  }
  // A leader that ended the stream on its side still waits for ours.
  context_.TryCancel();
  RemoveHold();
}

void MemberStream::OnDone(const grpc::Status& status) {
  // The call may free this, and with it the function that is called.
  const auto on_done = callbacks_.on_done;
  on_done(absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                       status.error_message()));
}

}  // namespace blockserve
