#include "runtime/bench/serve/client_run.h"

#include <google/protobuf/util/json_util.h>
#include <sched.h>
#include <sys/utsname.h>

#include <fstream>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace blockserve {
namespace {

std::string CpuName() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return "";
}

int NumCores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  return sched_getaffinity(0, sizeof(cores), &cores) == 0 ? CPU_COUNT(&cores)
                                                          : 0;
}

void ToProto(const RequestSample& sample, bench::v1::Sample* proto) {
  proto->set_start_seconds(sample.start_seconds);
  proto->set_send_lag_ms(sample.send_lag_ms);
  proto->set_ttft_ms(sample.ttft_ms);
  proto->set_e2el_ms(sample.e2el_ms);
  proto->set_input_token_count(sample.input_tokens);
  proto->set_output_token_count(sample.output_tokens);
  proto->set_first_chunk_token_count(sample.first_chunk_tokens);
  proto->set_migration_count(sample.migrations);
  proto->mutable_itl_ms()->Add(sample.itl_ms.begin(), sample.itl_ms.end());
  proto->set_error(sample.error);
}

}  // namespace

bench::v1::Environment DescribeEnvironment(absl::string_view command,
                                           absl::string_view label) {
  bench::v1::Environment environment;
  utsname name = {};
  if (uname(&name) == 0) {
    environment.set_host(name.nodename);
    environment.set_os(absl::StrCat(name.sysname, " ", name.release));
  }
  environment.set_cpu(CpuName());
  environment.set_core_count(NumCores());
  environment.set_date(
      absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now(), absl::UTCTimeZone()));
  environment.set_command(std::string(command));
  environment.set_label(std::string(label));
  return environment;
}

bench::v1::ClientRun MakeClientRun(const LoadOptions& options,
                                   const LoadResult& result) {
  bench::v1::ClientRun run;
  run.set_format_version(bench::v1::FORMAT_VERSION_1);
  bench::v1::Load* load = run.mutable_load();
  load->set_prompt_tokens(options.shape.prompt_tokens);
  load->set_max_tokens(options.shape.max_tokens);
  load->set_request_count(options.num_requests);
  load->set_warmup_count(options.num_warmup);
  load->set_concurrency(options.concurrency);
  if (options.concurrency == 0) {
    load->set_rate(options.arrivals.rate);
    load->set_burstiness(options.arrivals.burstiness);
  }
  load->set_seed(options.shape.seed);
  run.set_cpu_seconds(result.cpu_seconds);
  run.mutable_samples()->Reserve(static_cast<int>(result.samples.size()));
  for (const RequestSample& sample : result.samples) {
    ToProto(sample, run.add_samples());
  }
  return run;
}

std::vector<RequestSample> SamplesOf(const bench::v1::ClientRun& run) {
  std::vector<RequestSample> samples;
  samples.reserve(run.samples_size());
  for (const bench::v1::Sample& proto : run.samples()) {
    samples.push_back({.start_seconds = proto.start_seconds(),
                       .send_lag_ms = proto.send_lag_ms(),
                       .ttft_ms = proto.ttft_ms(),
                       .e2el_ms = proto.e2el_ms(),
                       .input_tokens = proto.input_token_count(),
                       .output_tokens = proto.output_token_count(),
                       .first_chunk_tokens = proto.first_chunk_token_count(),
                       .migrations = proto.migration_count(),
                       .itl_ms = {proto.itl_ms().begin(), proto.itl_ms().end()},
                       .error = proto.error()});
  }
  return samples;
}

absl::StatusOr<std::string> ClientRunToJson(const bench::v1::ClientRun& run) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto status =
      google::protobuf::util::MessageToJsonString(run, &text, options);
  if (!status.ok()) return absl::InternalError(status.ToString());
  return text + "\n";
}

absl::StatusOr<bench::v1::ClientRun> ParseClientRun(absl::string_view text,
                                                    absl::string_view source) {
  bench::v1::ClientRun run;
  const auto status = google::protobuf::util::JsonStringToMessage(
      {text.data(), text.size()}, &run);
  if (!status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        source, ": expected a file that --save_samples wrote: ",
        std::string(status.message().data(), status.message().size())));
  }
  if (run.format_version() != bench::v1::FORMAT_VERSION_1) {
    return absl::InvalidArgumentError(
        absl::StrCat(source, ": expected format_version FORMAT_VERSION_1, got ",
                     bench::v1::FormatVersion_Name(run.format_version())));
  }
  return run;
}

}  // namespace blockserve
