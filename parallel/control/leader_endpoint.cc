#include "parallel/control/leader_endpoint.h"

#include <grpcpp/impl/server_builder_option.h>
#include <grpcpp/impl/server_builder_plugin.h>

#include <chrono>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "runtime/base/monotonic_clock.h"
#include "runtime/base/status_macros.h"
#include "runtime/serving/listen_address.h"

namespace blockserve {
namespace {

// Of what ranks send: the largest is a blob.
constexpr int kMaxReceiveBytes = static_cast<int>(kMaxBlobBytes) + 4096;
constexpr int kMaxStreamsPerConnection = 4;
constexpr int kHandshakeTimeoutMillis = 10000;  // of HTTP/2
constexpr int kKeepaliveMillis = 10000;
constexpr int kMinPingIntervalMillis = 8000;  // they ping every 10 s

// Reflection and channelz, which the process may have for its other servers,
// would tell strangers about this one.
class NoPlugins : public grpc::ServerBuilderOption {
 public:
  void UpdateArguments(grpc::ChannelArguments* /*arguments*/) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>*
                         plugins) override {
    plugins->clear();
  }
};

// "ipv4:10.0.0.1:4711" and "ipv6:%5B::1%5D:4711" as HOST:PORT.
std::string PeerAddress(const std::string& peer) {
  absl::string_view address = peer;
  absl::ConsumePrefix(&address, "ipv4:");
  absl::ConsumePrefix(&address, "ipv6:");
  return absl::StrReplaceAll(address, {{"%5B", "["}, {"%5D", "]"}});
}

void SetArguments(absl::Duration step_timeout, grpc::ServerBuilder& builder) {
  builder.SetOption(std::make_unique<NoPlugins>());
  builder.SetMaxReceiveMessageSize(kMaxReceiveBytes);
  builder.SetMaxSendMessageSize(-1);  // the receiver's limit counts
  // Two leaders on one port would share its connections silently.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                             kMaxStreamsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                             kHandshakeTimeoutMillis);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMillis);
  builder.AddChannelArgument(
      GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
      static_cast<int>(absl::ToInt64Milliseconds(step_timeout)));
  builder.AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
      kMinPingIntervalMillis);
}

}  // namespace

absl::StatusOr<std::unique_ptr<GroupEndpoint>> LeaderEndpoint::Start(
    const RankConfig& config, const std::string& listen_address,
    std::function<void(const absl::Status&)> on_broken) {
  RankConfig addressed = config;
  addressed.address = listen_address;
  std::unique_ptr<LeaderEndpoint> endpoint(
      new LeaderEndpoint(addressed, std::move(on_broken)));
  if (config.world_size > 1) RETURN_IF_ERROR(endpoint->Listen(listen_address));
  endpoint->StartTimer();
  return endpoint;
}

LeaderEndpoint::LeaderEndpoint(
    const RankConfig& config,
    std::function<void(const absl::Status&)> on_broken)
    : EndpointBase(std::move(on_broken)), state_(config, MonotonicNow()) {}

LeaderEndpoint::~LeaderEndpoint() { LeaderEndpoint::Shutdown(); }

absl::Status LeaderEndpoint::Listen(const std::string& listen_address) {
  ASSIGN_OR_RETURN(const ListenAddress address,
                   ParseListenAddress(listen_address));
  // gRPC does not say why it cannot listen.
  RETURN_IF_ERROR(CheckListenable(address));
  grpc::ServerBuilder builder;
  SetArguments(state_.step_timeout(), builder);
  builder.AddListeningPort(address.ToString(),
                           grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(
      static_cast<group::v1::GroupService::CallbackService*>(this));
  server_ = builder.BuildAndStart();
  if (server_ != nullptr && port_ != 0) return absl::OkStatus();
  RETURN_IF_ERROR(CheckListenable(address));  // taken since?
  return absl::InternalError(
      absl::StrCat("gRPC cannot listen on ", address.ToString()));
}

grpc::ServerBidiReactor<group::v1::MemberFrame, group::v1::LeaderFrame>*
LeaderEndpoint::Join(grpc::CallbackServerContext* context) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const StreamId id = ++last_stream_;
  const std::shared_ptr<LeaderStream> stream = LeaderStream::Create(
      context,
      {[this, id](const group::v1::MemberFrame& frame) { OnFrame(id, frame); },
       [this, id](const absl::Status& why) { OnClosed(id, why); },
       [this, id] {
         const std::lock_guard<std::mutex> done_lock(mutex_);
         streams_.erase(id);
         changed_.notify_all();
       }});
  streams_[id] = stream;
  if (shut_down_) {
    stream->End(absl::UnavailableError("shut down"), /*at_once=*/true);
  } else {
    state_.OnOpened(id, PeerAddress(context->peer()), MonotonicNow());
    Settle();
  }
  stream->StartReading();
  return stream.get();
}

void LeaderEndpoint::OnFrame(StreamId id, const group::v1::MemberFrame& frame) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (shut_down_) return;
  state_.OnFrame(id, frame, MonotonicNow());
  Settle();
}

void LeaderEndpoint::OnClosed(StreamId id, const absl::Status& why) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (shut_down_) return;
  state_.OnClosed(id, why, MonotonicNow());
  Settle();
}

void LeaderEndpoint::PerformActions() {
  for (LeaderAction& action : state_.TakeActions()) {
    if (auto* send = std::get_if<SendToMember>(&action)) {
      const auto stream = streams_.find(send->stream);
      if (stream != streams_.end())
        stream->second->Send(std::move(send->frame));
    } else if (auto* close = std::get_if<CloseStream>(&action)) {
      const auto stream = streams_.find(close->stream);
      if (stream == streams_.end()) continue;
      stream->second->End(close->status, close->at_once);
    }
  }
}

absl::Status LeaderEndpoint::SendPlan(absl::Span<const uint8_t> frame) {
  if (frame.size() > kMaxPlanBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a plan may have ", kMaxPlanBytes, " bytes, got ", frame.size()));
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (shut_down_) return absl::CancelledError("shut down");
  const absl::StatusOr<uint64_t> number = state_.SendPlan(
      absl::string_view(reinterpret_cast<const char*>(frame.data()),
                        frame.size()),
      MonotonicNow());
  Settle();
  return number.status();
}

void LeaderEndpoint::Shutdown() {
  if (!Stop() || server_ == nullptr) return;
  // Streams that are cancelled take the lock.
  server_->Shutdown(std::chrono::system_clock::now());
  // They call this object until they are done.
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return streams_.empty(); });
}

}  // namespace blockserve
