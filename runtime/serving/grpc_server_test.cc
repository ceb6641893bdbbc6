#include "runtime/serving/grpc_server.h"

#include <grpcpp/impl/client_unary_call.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "gtest/gtest.h"

namespace blockserve {
namespace {

using ::grpc::health::v1::Health;
using ::grpc::health::v1::HealthCheckRequest;
using ::grpc::health::v1::HealthCheckResponse;
using ::testing::HasSubstr;

// A service made by hand, with a method that hangs until its call is
// cancelled.
class EchoService : public grpc::Service {
 public:
  EchoService() {
    AddMethod(new grpc::internal::RpcServiceMethod(
        "/test.EchoService/Hang", grpc::internal::RpcMethod::NORMAL_RPC,
        new grpc::internal::RpcMethodHandler<EchoService, HealthCheckRequest,
                                             HealthCheckResponse>(
            [this](EchoService*, grpc::ServerContext* context,
                   const HealthCheckRequest*, HealthCheckResponse*) {
              started.Notify();
              while (!context->IsCancelled()) std::this_thread::yield();
              return grpc::Status::CANCELLED;
            },
            this)));
  }
  absl::Notification started;
};

std::unique_ptr<GrpcServer> StartServer(EchoService& service) {
  auto server = GrpcServer::Start({.address = "127.0.0.1:0"}, {&service});
  EXPECT_TRUE(server.ok()) << server.status();
  return *std::move(server);
}

std::shared_ptr<grpc::Channel> Connect(const GrpcServer& server) {
  return grpc::CreateChannel(absl::StrCat("127.0.0.1:", server.port()),
                             grpc::InsecureChannelCredentials());
}

grpc::Status Check(Health::Stub& stub, const std::string& name,
                   HealthCheckResponse* response) {
  grpc::ClientContext context;
  HealthCheckRequest request;
  request.set_service(name);
  return stub.Check(&context, request, response);
}

HealthCheckResponse::ServingStatus StatusOf(Health::Stub& stub,
                                            const std::string& name) {
  HealthCheckResponse response;
  const grpc::Status status = Check(stub, name, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.status();
}

TEST(GrpcServerTest, PicksAPortAndRefusesATakenOne) {
  EchoService service;
  const auto server = StartServer(service);
  EXPECT_GT(server->port(), 0);
  EchoService other;
  for (const char* host : {"127.0.0.1", "0.0.0.0", "localhost"}) {
    const auto second = GrpcServer::Start(
        {.address = absl::StrCat(host, ":", server->port())}, {&other});
    EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(second.status().message(),
                HasSubstr(absl::StrCat("port ", server->port())));
  }
}

TEST(GrpcServerTest, RefusesABadAddress) {
  EchoService service;
  for (const char* address : {"50051", "127.0.0.1:99999", "no host:1"}) {
    EXPECT_EQ(
        GrpcServer::Start({.address = address}, {&service}).status().code(),
        absl::StatusCode::kInvalidArgument)
        << address;
  }
}

TEST(GrpcServerTest, HealthFollowsReadiness) {
  EchoService service;
  const auto server = StartServer(service);
  const auto stub = Health::NewStub(Connect(*server));
  const std::vector<std::string> names = {"", "readiness", "test.EchoService"};
  for (const std::string& name : names) {
    EXPECT_EQ(StatusOf(*stub, name), HealthCheckResponse::NOT_SERVING) << name;
  }
  server->SetReady(true);
  for (const std::string& name : names) {
    EXPECT_EQ(StatusOf(*stub, name), HealthCheckResponse::SERVING) << name;
  }
  server->SetReady(false);
  for (const std::string& name : names) {
    EXPECT_EQ(StatusOf(*stub, name), HealthCheckResponse::NOT_SERVING) << name;
  }
  EXPECT_EQ(StatusOf(*stub, "liveness"), HealthCheckResponse::SERVING);
  HealthCheckResponse response;
  EXPECT_EQ(Check(*stub, "unheard.of", &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST(GrpcServerTest, WatchSeesEveryTurnAndEndsAtShutdown) {
  EchoService service;
  const auto server = StartServer(service);
  const auto stub = Health::NewStub(Connect(*server));
  grpc::ClientContext context;
  HealthCheckRequest request;
  request.set_service("readiness");
  const auto watch = stub->Watch(&context, request);
  HealthCheckResponse response;
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  server->SetReady(true);
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  server->SetReady(true);  // no change, no message
  server->SetReady(false);
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  server->SetReady(true);
  ASSERT_TRUE(watch->Read(&response));
  // The open stream must not hold up the shutdown: its deadline is far off.
  server->Shutdown(absl::InfiniteFuture());
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  EXPECT_FALSE(watch->Read(&response));
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(GrpcServerTest, WatchOfAnUnknownNameStaysOpen) {
  EchoService service;
  const auto server = StartServer(service);
  const auto stub = Health::NewStub(Connect(*server));
  grpc::ClientContext context;
  HealthCheckRequest request;
  request.set_service("unheard.of");
  const auto watch = stub->Watch(&context, request);
  HealthCheckResponse response;
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVICE_UNKNOWN);
  context.TryCancel();
  EXPECT_FALSE(watch->Read(&response));
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST(GrpcServerTest, ShutdownCancelsARunningCallAtItsDeadline) {
  EchoService service;
  const auto server = StartServer(service);
  const auto channel = Connect(*server);
  std::thread caller([&] {
    grpc::ClientContext context;
    HealthCheckRequest request;
    HealthCheckResponse response;
    const grpc::internal::RpcMethod method(
        "/test.EchoService/Hang", grpc::internal::RpcMethod::NORMAL_RPC);
    const grpc::Status status =
        grpc::internal::BlockingUnaryCall<HealthCheckRequest,
                                          HealthCheckResponse>(
            channel.get(), method, &context, request, &response);
    EXPECT_FALSE(status.ok());
  });
  service.started.WaitForNotification();
  server->Shutdown(absl::Now() + absl::Milliseconds(20));
  server->Shutdown(absl::Now());  // idempotent
  caller.join();
}

TEST(GrpcServerTest, RefusesMessagesAboveTheLimit) {
  EchoService service;
  auto server = GrpcServer::Start(
      {.address = "127.0.0.1:0", .max_message_bytes = 1000}, {&service});
  ASSERT_TRUE(server.ok());
  const auto stub = Health::NewStub(Connect(**server));
  HealthCheckResponse response;
  const grpc::Status status = Check(*stub, std::string(2000, 'x'), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("1000"));
}

}  // namespace
}  // namespace blockserve
