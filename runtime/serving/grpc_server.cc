#include "runtime/serving/grpc_server.h"

#include <grpcpp/ext/channelz_service_plugin.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/server_builder_option.h>
#include <grpcpp/impl/server_builder_plugin.h>
#include <grpcpp/impl/server_initializer.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "absl/base/call_once.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/status_macros.h"
#include "runtime/serving/health_service.h"
#include "runtime/serving/listen_address.h"

namespace blockserve {
namespace {

// Clients may ping every 10 s; the rest is for jitter.
constexpr absl::Duration kMinClientPingInterval = absl::Seconds(8);
constexpr absl::Duration kHandshakeTimeout = absl::Seconds(10);

// Process-wide, and before the first ServerBuilder.
void InitPlugins() {
  static absl::once_flag once;
  absl::call_once(once, [] {
    grpc::EnableDefaultHealthCheckService(false);  // HealthService instead
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::channelz::experimental::InitChannelzService();
  });
}

int ToMillis(absl::Duration duration) {
  return static_cast<int>(std::min<int64_t>(absl::ToInt64Milliseconds(duration),
                                            std::numeric_limits<int>::max()));
}

// gRPC takes a time before 1970 for "never".
std::chrono::system_clock::time_point ToDeadline(absl::Time deadline) {
  return absl::ToChronoTime(std::max(deadline, absl::Now()));
}

void SetChannelArguments(const GrpcServerOptions& options,
                         grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(options.max_message_bytes);
  // The receiver's limit counts, and names itself.
  builder.SetMaxSendMessageSize(-1);
  // Two servers on one port would share its connections silently.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS,
                             ToMillis(options.keepalive_time));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                             ToMillis(options.keepalive_timeout));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
      ToMillis(kMinClientPingInterval));
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                             ToMillis(kHandshakeTimeout));
  if (options.max_connection_age != absl::InfiniteDuration()) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                               ToMillis(options.max_connection_age));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                               ToMillis(options.max_connection_age_grace));
  }
}

// Learns the names of the registered services: grpc::Service keeps its own to
// itself, plugins are told them before the server starts.
class ServiceNames : public grpc::ServerBuilderOption {
 public:
  explicit ServiceNames(std::vector<std::string>* names) : names_(names) {}

  void UpdateArguments(grpc::ChannelArguments* /*arguments*/) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>*
                         plugins) override {
    plugins->push_back(std::make_unique<Plugin>(names_));
  }

 private:
  class Plugin : public grpc::ServerBuilderPlugin {
   public:
    explicit Plugin(std::vector<std::string>* names) : names_(names) {}
    std::string name() override { return "blockserve_service_names"; }
    void InitServer(grpc::ServerInitializer* initializer) override {
      for (const std::string& name : *initializer->GetServiceList()) {
        if (!absl::StartsWith(name, "grpc.")) names_->push_back(name);
      }
    }
    void Finish(grpc::ServerInitializer* /*initializer*/) override {}
    void ChangeArguments(const std::string& /*name*/,
                         void* /*value*/) override {}

   private:
    std::vector<std::string>* const names_;
  };

  std::vector<std::string>* const names_;
};

class GrpcServerImpl : public GrpcServer {
 public:
  ~GrpcServerImpl() override { Shutdown(absl::Now()); }

  absl::Status Init(const GrpcServerOptions& options,
                    const std::vector<grpc::Service*>& services) {
    ASSIGN_OR_RETURN(const ListenAddress address,
                     ParseListenAddress(options.address));
    // gRPC does not say why it cannot listen, and is content with one of the
    // addresses of a name.
    RETURN_IF_ERROR(CheckListenable(address));
    InitPlugins();
    health_.Set("liveness", true);
    grpc::ServerBuilder builder;
    builder.SetOption(std::make_unique<ServiceNames>(&ready_names_));
    SetChannelArguments(options, builder);
    builder.AddListeningPort(address.ToString(),
                             grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&health_);
    for (grpc::Service* service : services) builder.RegisterService(service);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port_ == 0) {
      // Taken between the check and now?
      RETURN_IF_ERROR(CheckListenable(address));
      return absl::InternalError(
          absl::StrCat("gRPC cannot listen on ", address.ToString()));
    }
    SetReady(false);
    return absl::OkStatus();
  }

  int port() const override { return port_; }

  void SetReady(bool ready) override {
    for (const std::string& name : ready_names_) health_.Set(name, ready);
  }

  void Shutdown(absl::Time deadline) override {
    if (server_ == nullptr) return;
    health_.Shutdown();
    server_->Shutdown(ToDeadline(deadline));
  }

 private:
  int port_ = 0;
  HealthService health_;
  std::vector<std::string> ready_names_ = {"", "readiness"};
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(
    const GrpcServerOptions& options,
    const std::vector<grpc::Service*>& services) {
  auto server = std::make_unique<GrpcServerImpl>();
  RETURN_IF_ERROR(server->Init(options, services));
  return server;
}

}  // namespace blockserve
