// A stub group behind a router, for router-only benchmarks (docs/benchmarks).
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "runtime/serving/health_service.h"
#include "runtime/serving/port_file.h"
#include "runtime/serving/process.h"
#include "tests/perf/stub_group/stub_inference.h"
#include "tests/perf/stub_group/stub_worker.h"

ABSL_FLAG(int, port, 50052,
          "Port of the services, worker.v1 for a router and v1 for clients "
          "without one; 0: any free one.");
ABSL_FLAG(std::string, port_file, "",
          "Where to write the port (port=N); empty: nowhere.");
ABSL_FLAG(int, block_length, 4, "Tokens a step writes of a request, >= 1.");
ABSL_FLAG(absl::Duration, step_time, absl::ZeroDuration(),
          "From one step to the next, >= 0.");

namespace blockserve {
namespace {

absl::Status Run() {
  StubWorkerOptions options;
  options.block_length = absl::GetFlag(FLAGS_block_length);
  options.step_time = absl::GetFlag(FLAGS_step_time);
  if (options.block_length < 1 || options.step_time < absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        "--block_length must be >= 1 and --step_time >= 0");
  }
  StubWorker worker(options);
  StubInference inference(options);
  HealthService health;
  health.Set("", true);
  health.Set("readiness", true);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(-1);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Routers ping often.
  builder.AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1000);
  builder.AddListeningPort(
      absl::StrCat("127.0.0.1:", absl::GetFlag(FLAGS_port)),
      grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&worker);
  builder.RegisterService(&inference);
  builder.RegisterService(&health);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0) {
    return absl::UnavailableError("cannot listen on --port");
  }
  if (const std::string path = absl::GetFlag(FLAGS_port_file); !path.empty()) {
    const absl::Status status = WritePortFile(path, {{"port", port}});
    if (!status.ok()) return status;
  }
  WaitForShutdownSignal();
  health.Shutdown();
  server->Shutdown(std::chrono::system_clock::now());
  return absl::OkStatus();
}

}  // namespace
}  // namespace blockserve

int main(int argc, char** argv) {
  blockserve::InitServerProcess(
      &argc, &argv, "stub_group [flags]\nA worker without a model.");
  const absl::Status status = blockserve::Run();
  return status.ok() ? blockserve::kExitOk : blockserve::ReportFailure(status);
}
