// The worker as its users start it, on the demo model.
#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <iostream>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "gtest/gtest.h"
#include "runtime/serving/port_file.h"
#include "runtime/worker/testing/child_process.h"
#include "runtime/worker/testing/worker_harness.h"

namespace blockserve {
namespace {

using ::grpc::health::v1::Health;
using ::grpc::health::v1::HealthCheckRequest;
using ::grpc::health::v1::HealthCheckResponse;
using ::testing::HasSubstr;

constexpr char kBinary[] = "runtime/worker/blockserve_worker";
constexpr char kModel[] = "--model=models/demo-block";
constexpr int kManyTokens = 100000;

std::shared_ptr<grpc::Channel> Connect(int port) {
  return grpc::CreateChannel(absl::StrCat("127.0.0.1:", port),
                             grpc::InsecureChannelCredentials());
}

// Generates for ever; says so when it has begun.
int RunClient(int port) {
  const auto stub = worker::v1::WorkerService::NewStub(Connect(port));
  ClientStream stream(*stub);
  stream.Generate("endless", {1, 2, 3}, kManyTokens);
  while (stream.ReadFrame()) std::cout << "streaming" << std::endl;
  return 0;
}

std::string FetchMetrics(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
            0);
  const std::string request = "GET /metrics HTTP/1.0\r\n\r\n";
  EXPECT_EQ(write(fd, request.data(), request.size()),
            static_cast<ssize_t>(request.size()));
  std::string page;
  char buffer[4096];
  ssize_t length = 0;
  while ((length = read(fd, buffer, sizeof(buffer))) > 0) {
    page.append(buffer, static_cast<size_t>(length));
  }
  close(fd);
  return page;
}

class WorkerBinaryTest : public ::testing::Test {
 protected:
  // Starts a worker on free ports; it is ready when this returns.
  void Start(std::vector<std::string> flags = {}) {
    const std::string port_file = ::testing::TempDir() + "/ports";
    unlink(port_file.c_str());
    std::vector<std::string> arguments = {
        kBinary,
        kModel,
        "--host=127.0.0.1",
        "--port=0",
        "--metrics_port=0",
        "--backend=reference",
        absl::StrCat("--max_context=", kManyTokens + 100),
        "--max_batch_size=4",
        absl::StrCat("--port_file=", port_file)};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    worker_.emplace(arguments);
    ASSERT_TRUE(worker_->WaitForOutput("event=ready")) << worker_->output();
    const auto ports = ReadPortFile(port_file);
    ASSERT_TRUE(ports.ok()) << ports.status();
    port_ = ports->at("port");
    metrics_port_ = ports->at("metrics_port");
    stub_ = worker::v1::WorkerService::NewStub(Connect(port_));
  }

  // The value of blockserve_NAME{model_name="demo-block"OTHER}.
  double Metric(const std::string& name, const std::string& other = "") {
    const std::string start = absl::StrCat(
        "blockserve_", name, "{model_name=\"demo-block\"", other, "} ");
    for (absl::string_view line :
         absl::StrSplit(FetchMetrics(metrics_port_), '\n')) {
      double value = 0;
      if (absl::ConsumePrefix(&line, start) && absl::SimpleAtod(line, &value)) {
        return value;
      }
    }
    ADD_FAILURE() << start << " is missing";
    return -1;
  }

  void ExpectMetricBecomes(const std::string& name, double value,
                           const std::string& other = "") {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (Metric(name, other) != value) {
      ASSERT_LT(absl::Now(), deadline) << name << " is " << Metric(name, other);
    }
  }

  std::optional<ChildProcess> worker_;
  int port_ = 0;
  int metrics_port_ = 0;
  std::unique_ptr<worker::v1::WorkerService::Stub> stub_;
};

int ExitCode(std::vector<std::string> arguments, std::string* output) {
  arguments.insert(arguments.begin(), kBinary);
  ChildProcess worker(arguments);
  const int code = worker.Wait();
  *output = worker.output();
  return code;
}

TEST_F(WorkerBinaryTest, RefusesBadInput) {
  struct Case {
    std::vector<std::string> flags;
    std::string message;
  };
  const Case cases[] = {
      {{}, "--model"},
      {{"--model=/no/such/directory"}, "/no/such/directory"},
      {{kModel, "--no_such_flag=1"}, "--no_such_flag"},
      {{kModel, "--max_batch_size=0"},
       "--max_batch_size must be in [1, 65536]"},
      {{kModel, "--max_context=many"}, "\"many\""},
      {{kModel, "--prefix_positions=no"}, "--prefix_positions"},
      {{kModel, "--drain_timeout=-1s"}, "--drain_timeout"},
      {{kModel, "--host=nowhere.invalid", "--port=0"}, "nowhere.invalid"},
      {{kModel, "--port=0", "--metrics_port=0", "--backend=abacus"}, "abacus"},
      {{kModel, "--port=0", "--metrics_port=0", "--kv_cache_bytes=1"},
       "--kv_cache_bytes gives 1"},
      {{kModel, "surplus"}, "surplus"},
  };
  for (const Case& bad : cases) {
    std::string output;
    EXPECT_EQ(ExitCode(bad.flags, &output), 2) << output;
    EXPECT_THAT(output, HasSubstr(bad.message));
    EXPECT_THAT(output, HasSubstr("blockserve_worker: "));
  }
}

TEST_F(WorkerBinaryTest, NamesABusyPort) {
  ASSERT_NO_FATAL_FAILURE(Start());
  for (const std::string& flag :
       {absl::StrCat("--port=", port_),
        absl::StrCat("--metrics_port=", metrics_port_)}) {
    std::string output;
    EXPECT_EQ(ExitCode({kModel, "--host=127.0.0.1", "--port=0",
                        "--metrics_port=0", flag},
                       &output),
              3)
        << output;
    EXPECT_THAT(output, HasSubstr("is already in use"));
  }
  // Whoever was there goes on.
  ClientStream stream(*stub_);
  stream.Generate("a");
  EXPECT_EQ(stream.ReadDone("a").done.code(), 0);
}

TEST_F(WorkerBinaryTest, TellsWhatItServes) {
  ASSERT_NO_FATAL_FAILURE(Start({"--model_name=other", "--worker_id=w7"}));
  grpc::ClientContext context;
  worker::v1::GetIdentityResponse identity;
  ASSERT_TRUE(stub_->GetIdentity(&context, {}, &identity).ok());
  EXPECT_EQ(identity.worker_id(), "w7");
  EXPECT_FALSE(identity.instance_id().empty());
  EXPECT_EQ(identity.model_name(), "other");
  EXPECT_EQ(identity.family(), "block_transformer");
  EXPECT_EQ(identity.block_length(), 4);
  EXPECT_EQ(identity.vocab_size(), 4096);
  EXPECT_EQ(identity.context_length(), kManyTokens + 100);
  EXPECT_EQ(identity.backend(), "reference");
  EXPECT_EQ(identity.dtype(), "fp32");
  EXPECT_GT(identity.parameter_count(), 1000000);
  for (const char* line : {"block_decoder", "token_decoder", "KV cache",
                           "scratch", "run at once"}) {
    EXPECT_THAT(worker_->output(), HasSubstr(line));
  }
}

TEST_F(WorkerBinaryTest, AKilledClientLeavesNothingBehind) {
  ASSERT_NO_FATAL_FAILURE(Start());
  {
    ChildProcess client({"/proc/self/exe", "client", absl::StrCat(port_)});
    ASSERT_TRUE(client.WaitForOutput("streaming")) << client.output();
    EXPECT_EQ(Metric("num_requests_running"), 1);
    EXPECT_GT(Metric("kv_blocks", ",state=\"used\""), 0);
    client.Signal(SIGKILL);
    client.Wait();
  }
  ExpectMetricBecomes("num_requests_running", 0);
  ExpectMetricBecomes("kv_blocks", 0, ",state=\"used\"");
  ExpectMetricBecomes("cancellations_total", 1, ",phase=\"decode\"");
}

TEST_F(WorkerBinaryTest, DrainsOnSigterm) {
  ASSERT_NO_FATAL_FAILURE(Start({"--drain_timeout=10m"}));
  const auto health = Health::NewStub(Connect(port_));
  grpc::ClientContext context;
  HealthCheckRequest request;
  request.set_service("readiness");
  const auto watch = health->Watch(&context, request);
  HealthCheckResponse response;
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  ClientStream stream(*stub_);
  stream.Generate("a", {1, 2, 3}, 400);
  stream.ReadTokens("a", 1);
  worker_->Signal(SIGTERM);
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  // Not ready, yet what runs goes on to its end.
  EXPECT_EQ(stream.ReadDone("a").done.code(), 0);
  EXPECT_EQ(stream.records["a"].tokens.size(), 400u);
  EXPECT_EQ(worker_->Wait(), 0) << worker_->output();
}

TEST_F(WorkerBinaryTest, DrainGivesUpAtItsTimeout) {
  ASSERT_NO_FATAL_FAILURE(Start({"--drain_timeout=50ms"}));
  ClientStream stream(*stub_);
  stream.Generate("a", {1, 2, 3}, kManyTokens);
  stream.ReadTokens("a", 1);
  worker_->Signal(SIGTERM);
  const worker::v1::Done done = stream.ReadDone("a").done;
  EXPECT_EQ(done.code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(done.error_reason(), "DRAINING");
  EXPECT_EQ(worker_->Wait(), 0) << worker_->output();
}

TEST_F(WorkerBinaryTest, ASecondSignalCutsTheDrainShort) {
  ASSERT_NO_FATAL_FAILURE(Start({"--drain_timeout=1h"}));
  ClientStream stream(*stub_);
  stream.Generate("a", {1, 2, 3}, kManyTokens);
  stream.ReadTokens("a", 1);
  worker_->Signal(SIGTERM);
  ASSERT_TRUE(worker_->WaitForOutput("event=draining"));
  worker_->Signal(SIGTERM);
  EXPECT_EQ(worker_->Wait(), 128 + SIGTERM) << worker_->output();
}

}  // namespace
}  // namespace blockserve

int main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == "client") {
    return blockserve::RunClient(std::stoi(argv[2]));
  }
  ::testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
