// The router's binary: flags to options, signals to a drain.
#include <glog/logging.h>

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "router/router.h"
#include "runtime/base/status_macros.h"
#include "runtime/serving/listen_address.h"
#include "runtime/serving/log_line.h"
#include "runtime/serving/port_file.h"
#include "runtime/serving/process.h"
#include "runtime/tokenizer/tokenizer.h"

ABSL_FLAG(std::string, host, "0.0.0.0", "Address to listen on.");
ABSL_FLAG(int, port, 50051, "Port of the gRPC API; 0: any free one.");
ABSL_FLAG(int, metrics_port, 9090,
          "Port of http://HOST:PORT/metrics; 0: any free one.");
ABSL_FLAG(std::string, port_file, "",
          "Where to write the ports that were chosen (port=N, metrics_port=N); "
          "empty: nowhere.");
ABSL_FLAG(std::string, workers, "",
          "The workers, HOST:PORT, separated by commas. They need not be up.");
ABSL_FLAG(std::string, tokenizer, "",
          "The model's tokenizer.json; empty: token ids only, no text.");
ABSL_FLAG(std::string, policy, "least_outstanding",
          "Which worker gets a request: least_outstanding, power_of_two or "
          "round_robin.");
ABSL_FLAG(int, max_outstanding_requests, 1024,
          "Sequences at the workers at once, in [16, 1000000]; more are "
          "refused. A request with n choices is n sequences.");
ABSL_FLAG(int64_t, max_waiting_prompt_tokens, 1 << 20,
          "Prompt tokens of requests without a first token, >= 1; more are "
          "refused.");
ABSL_FLAG(int, max_message_bytes, 4 << 20,
          "Largest request, in [1024, 1073741824] bytes.");
ABSL_FLAG(absl::Duration, max_request_duration, absl::Seconds(600),
          "Longest time a request may take, whatever deadline it has, > 0.");
ABSL_FLAG(absl::Duration, worker_stall_timeout, absl::Seconds(30),
          "A worker that has requests and makes no step for this long is taken "
          "for hung, > 0.");
ABSL_FLAG(absl::Duration, max_connection_age, absl::Minutes(30),
          "Clients are asked to connect anew after this time, > 0.");
ABSL_FLAG(absl::Duration, drain_delay, absl::ZeroDuration(),
          "After SIGTERM: time not ready but still taking requests, >= 0.");
ABSL_FLAG(absl::Duration, drain_timeout, absl::Seconds(30),
          "After that: time for requests to end by themselves, >= 0.");

namespace blockserve {
namespace {

constexpr absl::Duration kMaxDuration = absl::Hours(24 * 365);

template <typename T>
absl::Status CheckInRange(const char* flag, T value, T low, T high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--", flag, " must be in [", low, ", ", high, "], got ", value));
}

absl::Status CheckDuration(const char* flag, absl::Duration value,
                           bool may_be_zero) {
  if ((value > absl::ZeroDuration() && value <= kMaxDuration) ||
      (may_be_zero && value == absl::ZeroDuration())) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, " must be ", may_be_zero ? ">= 0" : "> 0",
                   " and at most ", absl::FormatDuration(kMaxDuration),
                   ", got ", absl::FormatDuration(value)));
}

absl::StatusOr<std::vector<std::string>> ParseWorkers(const std::string& list) {
  if (list.empty()) {
    return absl::InvalidArgumentError(
        "--workers must name at least one worker, HOST:PORT");
  }
  std::vector<std::string> workers;
  for (absl::string_view text : absl::StrSplit(list, ',')) {
    const std::string worker(text);
    const auto address = ParseListenAddress(worker);
    if (!address.ok() || address->port == 0 || worker.front() == ':') {
      return absl::InvalidArgumentError(absl::StrCat(
          "--workers must be HOST:PORT, separated by commas, got \"", worker,
          "\""));
    }
    workers.push_back(address->ToString());
  }
  return workers;
}

std::string HostPort(const std::string& host, int port) {
  return ListenAddress{host, port}.ToString();
}

absl::StatusOr<RouterOptions> OptionsFromFlags() {
  const int port = absl::GetFlag(FLAGS_port);
  const int metrics_port = absl::GetFlag(FLAGS_metrics_port);
  RETURN_IF_ERROR(CheckInRange("port", port, 0, 65535));
  RETURN_IF_ERROR(CheckInRange("metrics_port", metrics_port, 0, 65535));
  RouterOptions options;
  options.server.address = HostPort(absl::GetFlag(FLAGS_host), port);
  options.metrics_address = HostPort(absl::GetFlag(FLAGS_host), metrics_port);
  options.server.max_message_bytes = absl::GetFlag(FLAGS_max_message_bytes);
  RETURN_IF_ERROR(CheckInRange(
      "max_message_bytes", options.server.max_message_bytes, 1 << 10, 1 << 30));
  options.server.max_connection_age = absl::GetFlag(FLAGS_max_connection_age);
  RETURN_IF_ERROR(CheckDuration("max_connection_age",
                                options.server.max_connection_age, false));
  ASSIGN_OR_RETURN(options.fleet.addresses,
                   ParseWorkers(absl::GetFlag(FLAGS_workers)));
  options.fleet.client.session.stall_timeout =
      absl::GetFlag(FLAGS_worker_stall_timeout);
  RETURN_IF_ERROR(CheckDuration("worker_stall_timeout",
                                options.fleet.client.session.stall_timeout,
                                false));
  options.policy = absl::GetFlag(FLAGS_policy);
  options.admission.max_outstanding_requests =
      absl::GetFlag(FLAGS_max_outstanding_requests);
  RETURN_IF_ERROR(CheckInRange("max_outstanding_requests",
                               options.admission.max_outstanding_requests, 16,
                               1'000'000));
  options.admission.max_waiting_prompt_tokens =
      absl::GetFlag(FLAGS_max_waiting_prompt_tokens);
  RETURN_IF_ERROR(CheckInRange<int64_t>(
      "max_waiting_prompt_tokens", options.admission.max_waiting_prompt_tokens,
      1, INT64_MAX));
  options.service.max_request_duration =
      absl::GetFlag(FLAGS_max_request_duration);
  RETURN_IF_ERROR(CheckDuration("max_request_duration",
                                options.service.max_request_duration, false));
  RETURN_IF_ERROR(
      CheckDuration("drain_delay", absl::GetFlag(FLAGS_drain_delay), true));
  RETURN_IF_ERROR(
      CheckDuration("drain_timeout", absl::GetFlag(FLAGS_drain_timeout), true));
  std::random_device device;
  options.random_seed = uint64_t{device()} << 32 | device();
  return options;
}

void LogConfig(const RouterOptions& options, const Router& router) {
  LOG(INFO) << LogLine(
      "router_started",
      {{"port", router.port()},
       {"metrics_port", router.metrics_port()},
       {"workers", absl::GetFlag(FLAGS_workers)},
       {"tokenizer", absl::GetFlag(FLAGS_tokenizer)},
       {"policy", options.policy},
       {"max_outstanding_requests", options.admission.max_outstanding_requests},
       {"max_waiting_prompt_tokens",
        options.admission.max_waiting_prompt_tokens},
       {"max_message_bytes", options.server.max_message_bytes},
       {"max_request_duration",
        absl::FormatDuration(options.service.max_request_duration)},
       {"drain_timeout",
        absl::FormatDuration(absl::GetFlag(FLAGS_drain_timeout))}});
}

absl::Status Run() {
  ASSIGN_OR_RETURN(const RouterOptions options, OptionsFromFlags());
  std::unique_ptr<Tokenizer> tokenizer;
  if (!absl::GetFlag(FLAGS_tokenizer).empty()) {
    ASSIGN_OR_RETURN(tokenizer, LoadTokenizer(absl::GetFlag(FLAGS_tokenizer)));
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<Router> router,
                   Router::Start(options, std::move(tokenizer)));
  LogConfig(options, *router);
  if (!absl::GetFlag(FLAGS_port_file).empty()) {
    RETURN_IF_ERROR(WritePortFile(
        absl::GetFlag(FLAGS_port_file),
        {{"port", router->port()}, {"metrics_port", router->metrics_port()}}));
  }
  WaitForShutdownSignal();
  router->Drain(absl::GetFlag(FLAGS_drain_delay),
                absl::GetFlag(FLAGS_drain_timeout));
  LOG(INFO) << LogLine("router_stopped");
  return absl::OkStatus();
}

}  // namespace
}  // namespace blockserve

int main(int argc, char** argv) {
  blockserve::InitServerProcess(
      &argc, &argv,
      "blockserve_router --workers=HOST:PORT,... [flags]\n"
      "Serves blockserve.v1.InferenceService over BlockServe workers.");
  absl::Status status;
  if (argc > 1) {
    status = absl::InvalidArgumentError(
        absl::StrCat("unexpected argument \"", argv[1], "\""));
  } else {
    status = blockserve::Run();
  }
  return status.ok() ? blockserve::kExitOk : blockserve::ReportFailure(status);
}
