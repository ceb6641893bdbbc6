// The worker's binary: flags to options.
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "runtime/base/status_macros.h"
#include "runtime/serving/listen_address.h"
#include "runtime/serving/process.h"
#include "runtime/worker/group_flags.h"
#include "runtime/worker/worker_process.h"

ABSL_FLAG(std::string, model, "",
          "Directory with config.yaml or config.json and safetensors weights.");
ABSL_FLAG(std::string, model_name, "",
          "Name clients use; default: the configuration's.");
ABSL_FLAG(std::string, worker_id, "",
          "Name of this worker in metrics and logs; default: HOSTNAME:PORT.");
ABSL_FLAG(std::string, host, "0.0.0.0", "Address to listen on.");
ABSL_FLAG(int, port, 50052, "Port of the gRPC service; 0: any free one.");
ABSL_FLAG(int, metrics_port, 9091,
          "Port of http://HOST:PORT/metrics; 0: any free one.");
ABSL_FLAG(std::string, port_file, "",
          "Where to write the ports that were chosen (port=N, metrics_port=N); "
          "empty: nowhere.");
ABSL_FLAG(std::string, backend, "cpu", "cpu, reference or cuda.");
ABSL_FLAG(std::string, dtype, "auto",
          "auto (bf16 where the device is fast with it), fp32 or bf16.");
ABSL_FLAG(
    int, device, -1,
    "GPU of backend cuda, in [0, 1023]; -1: ranks are dealt to the host's "
    "GPUs in turn.");
ABSL_FLAG(int, threads, 0,
          "Threads of a step, in [0, 1024]; 0: one per usable core.");
ABSL_FLAG(int, max_batch_size, 64,
          "Sequences that run at once, in [1, 65536].");
ABSL_FLAG(int, max_context, 2048,
          "Largest prompt + max_tokens of a request, in [2, 16777216] tokens.");
ABSL_FLAG(int, max_prefill_units, 512,
          "Prompt blocks (vanilla: tokens) that one step may add, in "
          "[1, 1048576].");
ABSL_FLAG(
    int64_t, kv_cache_bytes, 0,
    "Bytes of the paged KV cache; 0: enough for max_batch_size sequences "
    "of max_context, at most half of the memory left beside the weights.");
ABSL_FLAG(int, max_waiting_requests, 256,
          "Requests that may wait, in [1, 16777216]; more are refused.");
ABSL_FLAG(int64_t, max_waiting_prompt_tokens, 1 << 20,
          "Prompt tokens that may wait, >= 1; more are refused.");
ABSL_FLAG(std::string, prefix_positions, "forward",
          "forward: as the weights were trained; reference_generate: as the "
          "authors' generate().");
ABSL_FLAG(absl::Duration, drain_timeout, absl::Seconds(30),
          "Time that running requests get after SIGTERM, in [0s, 24h].");
ABSL_FLAG(int, max_message_bytes, 64 << 20,
          "Largest message from a router, in [1024, 1073741824] bytes.");
ABSL_FLAG(int, rank, -1,
          "This process's rank in its group, in [0, world_size); -1: as "
          "LWS_WORKER_INDEX says, else 0. Rank 0 leads and serves routers.");
ABSL_FLAG(int, world_size, -1,
          "Ranks that share the model, in [1, 64]; -1: as LWS_GROUP_SIZE says, "
          "else 1.");
ABSL_FLAG(std::string, leader, "",
          "HOST:PORT of rank 0's group port, for ranks > 0; default: "
          "LWS_LEADER_ADDRESS with --group_port.");
ABSL_FLAG(int, group_port, 50053,
          "Rank 0: port where the ranks of the group join; 0: any free one.");
ABSL_FLAG(std::string, bind_interface, "",
          "Interface, or its IPv4 address, that traffic between ranks is bound "
          "to; default: the one that leads to the leader.");
ABSL_FLAG(std::string, group_secret_file, "",
          "File with the secret the ranks prove to each other, of at least 16 "
          "bytes; default: the variable BLOCKSERVE_GROUP_SECRET. May be left "
          "out only if the group lives on loopback.");
ABSL_FLAG(
    absl::Duration, step_timeout, absl::Seconds(10),
    "A rank that has not finished a step so long after it was planned, or "
    "was not heard of for so long, is lost; in [100ms, 1h].");
ABSL_FLAG(std::string, on_group_failure, "rejoin",
          "What to do when a rank of the group is lost: rejoin (the ranks that "
          "are left form the group again with those that come back) or exit "
          "(code 5, for an orchestrator that starts the whole group anew).");
ABSL_FLAG(std::string, collectives, "auto",
          "auto (nccl between GPUs, shm where all ranks are on one host, else "
          "gloo), shm, gloo or nccl.");
ABSL_FLAG(bool, log_requests, false, "One log line for each request's end.");

namespace blockserve {
namespace {

absl::Status CheckInRange(const char* flag, int64_t value, int64_t low,
                          int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--", flag, " must be in [", low, ", ", high, "], got ", value));
}

absl::StatusOr<PrefixPositions> ParsePrefixPositions(const std::string& name) {
  if (name == "forward") return PrefixPositions::kForward;
  if (name == "reference_generate") return PrefixPositions::kReferenceGenerate;
  return absl::InvalidArgumentError(absl::StrCat(
      "--prefix_positions must be forward or reference_generate, got \"", name,
      "\""));
}

absl::StatusOr<ModelHostOptions> HostOptionsFromFlags() {
  constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();
  ModelHostOptions options;
  options.model = absl::GetFlag(FLAGS_model);
  if (options.model.empty()) {
    return absl::InvalidArgumentError("--model must name a directory");
  }
  options.backend.backend = absl::GetFlag(FLAGS_backend);
  options.backend.dtype = absl::GetFlag(FLAGS_dtype);
  options.backend.num_threads = absl::GetFlag(FLAGS_threads);
  options.backend.device = absl::GetFlag(FLAGS_device);
  options.max_batch_size = absl::GetFlag(FLAGS_max_batch_size);
  options.max_context = absl::GetFlag(FLAGS_max_context);
  options.max_prefill_units = absl::GetFlag(FLAGS_max_prefill_units);
  options.kv_cache_bytes = absl::GetFlag(FLAGS_kv_cache_bytes);
  options.max_waiting_requests = absl::GetFlag(FLAGS_max_waiting_requests);
  options.max_waiting_prompt_tokens =
      absl::GetFlag(FLAGS_max_waiting_prompt_tokens);
  RETURN_IF_ERROR(
      CheckInRange("threads", options.backend.num_threads, 0, 1024));
  RETURN_IF_ERROR(CheckInRange("device", options.backend.device, -1, 1023));
  RETURN_IF_ERROR(
      CheckInRange("max_batch_size", options.max_batch_size, 1, 65536));
  RETURN_IF_ERROR(CheckInRange("max_context", options.max_context, 2, 1 << 24));
  RETURN_IF_ERROR(
      CheckInRange("max_prefill_units", options.max_prefill_units, 1, 1 << 20));
  RETURN_IF_ERROR(
      CheckInRange("kv_cache_bytes", options.kv_cache_bytes, 0, kNoLimit));
  RETURN_IF_ERROR(CheckInRange("max_waiting_requests",
                               options.max_waiting_requests, 1, 1 << 24));
  RETURN_IF_ERROR(CheckInRange("max_waiting_prompt_tokens",
                               options.max_waiting_prompt_tokens, 1, kNoLimit));
  ASSIGN_OR_RETURN(options.prefix_positions,
                   ParsePrefixPositions(absl::GetFlag(FLAGS_prefix_positions)));
  return options;
}

std::map<std::string, std::string> GroupEnvironment() {
  std::map<std::string, std::string> environment;
  for (const char* name : {"LWS_WORKER_INDEX", "LWS_GROUP_SIZE",
                           "LWS_LEADER_ADDRESS", "BLOCKSERVE_GROUP_SECRET"}) {
    const char* value = std::getenv(name);
    if (value != nullptr) environment[name] = value;
  }
  return environment;
}

absl::Status SetGroupFromFlags(WorkerOptions& options) {
  GroupFlags flags;
  flags.rank = absl::GetFlag(FLAGS_rank);
  flags.world_size = absl::GetFlag(FLAGS_world_size);
  flags.leader = absl::GetFlag(FLAGS_leader);
  flags.host = absl::GetFlag(FLAGS_host);
  flags.group_port = absl::GetFlag(FLAGS_group_port);
  flags.bind_interface = absl::GetFlag(FLAGS_bind_interface);
  flags.secret_file = absl::GetFlag(FLAGS_group_secret_file);
  flags.step_timeout = absl::GetFlag(FLAGS_step_timeout);
  flags.on_group_failure = absl::GetFlag(FLAGS_on_group_failure);
  flags.collectives = absl::GetFlag(FLAGS_collectives);
  ASSIGN_OR_RETURN(GroupPlace place, ResolveGroup(flags, GroupEnvironment()));
  options.group = std::move(place.group);
  options.exit_on_group_failure = place.exit_on_failure;
  return absl::OkStatus();
}

absl::StatusOr<WorkerOptions> OptionsFromFlags() {
  WorkerOptions options;
  ASSIGN_OR_RETURN(options.host, HostOptionsFromFlags());
  options.model_name = absl::GetFlag(FLAGS_model_name);
  options.ports.worker_id = absl::GetFlag(FLAGS_worker_id);
  const int port = absl::GetFlag(FLAGS_port);
  const int metrics_port = absl::GetFlag(FLAGS_metrics_port);
  RETURN_IF_ERROR(CheckInRange("port", port, 0, 65535));
  RETURN_IF_ERROR(CheckInRange("metrics_port", metrics_port, 0, 65535));
  if (port != 0 && port == metrics_port) {
    return absl::InvalidArgumentError(
        absl::StrCat("--port and --metrics_port must differ, both are ", port));
  }
  const std::string host = absl::GetFlag(FLAGS_host);
  options.ports.address = ListenAddress{host, port}.ToString();
  options.ports.metrics_address = ListenAddress{host, metrics_port}.ToString();
  options.ports.max_message_bytes = absl::GetFlag(FLAGS_max_message_bytes);
  RETURN_IF_ERROR(CheckInRange(
      "max_message_bytes", options.ports.max_message_bytes, 1 << 10, 1 << 30));
  RETURN_IF_ERROR(SetGroupFromFlags(options));
  options.port_file = absl::GetFlag(FLAGS_port_file);
  options.drain_timeout = absl::GetFlag(FLAGS_drain_timeout);
  if (options.drain_timeout < absl::ZeroDuration() ||
      options.drain_timeout > absl::Hours(24)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--drain_timeout must be in [0s, 24h], got ",
                     absl::FormatDuration(options.drain_timeout)));
  }
  options.log_requests = absl::GetFlag(FLAGS_log_requests);
  return options;
}

absl::Status Run() {
  ASSIGN_OR_RETURN(const WorkerOptions options, OptionsFromFlags());
  return RunWorker(options);
}

}  // namespace
}  // namespace blockserve

int main(int argc, char** argv) {
  blockserve::InitServerProcess(&argc, &argv,
                                "blockserve_worker --model=DIR [flags]\n"
                                "Serves one copy of a model to routers.");
  const absl::Status status =
      argc > 1 ? absl::InvalidArgumentError(
                     absl::StrCat("unexpected argument \"", argv[1], "\""))
               : blockserve::Run();
  return status.ok() ? blockserve::kExitOk : blockserve::ReportFailure(status);
}
