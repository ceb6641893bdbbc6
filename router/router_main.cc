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
#include "absl/time/time.h"
#include "router/discovery_source.h"
#include "router/router.h"
#include "router/worker_list.h"
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
          "The workers (a group of ranks: its leader), HOST:PORT, separated by "
          "commas. They need not be up.");
ABSL_FLAG(std::string, workers_dns, "",
          "Instead of --workers: HOST:PORT of a name with an address for each "
          "worker, such as a headless service, resolved every "
          "--discovery_interval.");
ABSL_FLAG(std::string, workers_file, "",
          "Instead of --workers: a file with a HOST:PORT per line, # begins a "
          "comment, read again within a second of a change. While it has a bad "
          "line, the workers stay as they were. It need not be there.");
ABSL_FLAG(absl::Duration, discovery_interval, absl::Seconds(5),
          "How often --workers_dns is resolved, in [100ms, 1h].");
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
ABSL_FLAG(absl::Duration, stall_timeout, absl::Seconds(10),
          "A worker that has requests and makes no step for this long, or does "
          "not report its load, is taken for hung, in [1s, 1h].");
ABSL_FLAG(bool, mid_stream_resume, true,
          "Go on at another worker when one is lost after the first token; "
          "else the stream ends with ABORTED.");
ABSL_FLAG(int, max_attempts, 3,
          "Workers that may be lost under one request, the first included, in "
          "[1, 100]. Two losses with no token in between end it in any case.");
ABSL_FLAG(absl::Duration, resume_timeout, absl::Seconds(30),
          "How long a begun request waits for a worker, >= 0.");
ABSL_FLAG(int, ejection_failures, 5,
          "Requests in a row that a worker fails before it is ejected, in "
          "[1, 1000]. At most half of the workers are ejected.");
ABSL_FLAG(absl::Duration, ejection_time, absl::Seconds(5),
          "Length of a worker's first ejection; the n-th is n times as long, "
          "at most 12 times. In [100ms, 1h].");
ABSL_FLAG(
    double, retry_budget_ratio, 0.15,
    "Failures that may be retried at once, as a share of the active "
    "requests, in [0, 1]; a lost worker is one failure, whatever it had.");
ABSL_FLAG(int, retry_budget_min, 3,
          "That many may be retried at once in any case, in [0, 10000].");
ABSL_FLAG(absl::Duration, max_connection_age, absl::Minutes(30),
          "Clients are asked to connect anew after this time, > 0.");
ABSL_FLAG(absl::Duration, drain_delay, absl::ZeroDuration(),
          "After SIGTERM: time not ready but still taking requests, >= 0.");
ABSL_FLAG(absl::Duration, drain_timeout, absl::Seconds(30),
          "After that: time for requests to end by themselves, >= 0.");

namespace blockserve {
namespace {

constexpr absl::Duration kMaxDuration = absl::Hours(24 * 365);
constexpr absl::Duration kFilePollInterval = absl::Milliseconds(250);

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

absl::Status CheckDurationInRange(const char* flag, absl::Duration value,
                                  absl::Duration low, absl::Duration high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--", flag, " must be in [", absl::FormatDuration(low), ", ",
      absl::FormatDuration(high), "], got ", absl::FormatDuration(value)));
}

absl::Status OfFlag(const char* flag, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat("--", flag, ": ", status.message()));
}

absl::Status ReadDiscoveryFlags(RouterOptions* options) {
  const std::string list = absl::GetFlag(FLAGS_workers);
  const std::string dns = absl::GetFlag(FLAGS_workers_dns);
  const std::string file = absl::GetFlag(FLAGS_workers_file);
  const absl::Duration interval = absl::GetFlag(FLAGS_discovery_interval);
  RETURN_IF_ERROR(CheckDurationInRange(
      "discovery_interval", interval, absl::Milliseconds(100), absl::Hours(1)));
  if (!list.empty() + !dns.empty() + !file.empty() != 1) {
    return absl::InvalidArgumentError(
        "one of --workers=HOST:PORT,..., --workers_dns and --workers_file must "
        "be given");
  }
  if (!list.empty()) {
    auto workers = ParseWorkerList(list);
    if (!workers.ok()) return OfFlag("workers", workers.status());
    options->fleet.addresses = *std::move(workers);
  } else if (!dns.empty()) {
    const auto address = ParseWorkerAddress(dns);
    if (!address.ok()) return OfFlag("workers_dns", address.status());
    options->discovery = [address = *address, interval] {
      return CreateDnsDiscovery(address, interval);
    };
  } else {
    options->discovery = [file] {
      return CreateFileDiscovery(file, kFilePollInterval);
    };
  }
  return absl::OkStatus();
}

absl::Status ReadFailureFlags(RouterOptions* options) {
  absl::Duration& stall = options->fleet.client.session.stall_timeout;
  stall = absl::GetFlag(FLAGS_stall_timeout);
  RETURN_IF_ERROR(CheckDurationInRange("stall_timeout", stall, absl::Seconds(1),
                                       absl::Hours(1)));
  ResumeOptions& resume = options->resume;
  resume.mid_stream_resume = absl::GetFlag(FLAGS_mid_stream_resume);
  resume.max_attempts = absl::GetFlag(FLAGS_max_attempts);
  RETURN_IF_ERROR(CheckInRange("max_attempts", resume.max_attempts, 1, 100));
  resume.resume_timeout = absl::GetFlag(FLAGS_resume_timeout);
  RETURN_IF_ERROR(CheckDuration("resume_timeout", resume.resume_timeout, true));
  GroupHealthOptions& health = options->fleet.health;
  health.max_consecutive_failures = absl::GetFlag(FLAGS_ejection_failures);
  RETURN_IF_ERROR(CheckInRange("ejection_failures",
                               health.max_consecutive_failures, 1, 1000));
  health.base_ejection = absl::GetFlag(FLAGS_ejection_time);
  health.max_ejection = 12 * health.base_ejection;
  RETURN_IF_ERROR(CheckDurationInRange("ejection_time", health.base_ejection,
                                       absl::Milliseconds(100),
                                       absl::Hours(1)));
  RetryBudgetOptions& budget = options->fleet.retry_budget;
  budget.ratio = absl::GetFlag(FLAGS_retry_budget_ratio);
  RETURN_IF_ERROR(CheckInRange("retry_budget_ratio", budget.ratio, 0.0, 1.0));
  budget.min_concurrent = absl::GetFlag(FLAGS_retry_budget_min);
  return CheckInRange("retry_budget_min", budget.min_concurrent, 0, 10'000);
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
  RETURN_IF_ERROR(ReadDiscoveryFlags(&options));
  RETURN_IF_ERROR(ReadFailureFlags(&options));
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
       {"workers_dns", absl::GetFlag(FLAGS_workers_dns)},
       {"workers_file", absl::GetFlag(FLAGS_workers_file)},
       {"stall_timeout",
        absl::FormatDuration(absl::GetFlag(FLAGS_stall_timeout))},
       {"mid_stream_resume",
        options.resume.mid_stream_resume ? "true" : "false"},
       {"max_attempts", options.resume.max_attempts},
       {"resume_timeout", absl::FormatDuration(options.resume.resume_timeout)},
       {"ejection_failures", options.fleet.health.max_consecutive_failures},
       {"ejection_time",
        absl::FormatDuration(options.fleet.health.base_ejection)},
       {"retry_budget_ratio", options.fleet.retry_budget.ratio},
       {"retry_budget_min", options.fleet.retry_budget.min_concurrent},
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
