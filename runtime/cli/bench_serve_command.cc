// blockserve bench serve: load on running servers, and what they make of it.
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "runtime/base/read_file.h"
#include "runtime/base/status_macros.h"
#include "runtime/bench/serve/client_run.h"
#include "runtime/bench/serve/load_run.h"
#include "runtime/bench/serve/server_pool.h"
#include "runtime/bench/serve/serving_report.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/report.h"
#include "runtime/serving/process.h"

namespace blockserve {
namespace {

constexpr absl::Duration kConnectTimeout = absl::Seconds(10);
constexpr size_t kMaxRunFileBytes = size_t{1} << 30;

struct BenchServeFlags {
  LoadOptions load;
  std::vector<std::string> servers;
  int channels_per_server = 4;
  uint64_t seed = 0;
  double timeout_seconds = 600;
  std::vector<std::string> merge;
  std::string json;
  std::string save_samples;
  std::string label;
};

// The flags that say what was measured, as they would be given again.
std::string CommandOf(const BenchServeFlags& flags) {
  const LoadOptions& load = flags.load;
  std::string command = absl::StrCat("blockserve bench serve --server ",
                                     absl::StrJoin(flags.servers, " "));
  if (load.concurrency > 0) {
    absl::StrAppend(&command, " --concurrency=", load.concurrency);
  } else {
    absl::StrAppend(&command, " --rate=", load.arrivals.rate,
                    " --burstiness=", load.arrivals.burstiness);
  }
  absl::StrAppend(&command, " --prompt_tokens=", load.shape.prompt_tokens,
                  " --max_tokens=", load.shape.max_tokens,
                  " --num_requests=", load.num_requests,
                  " --warmup=", load.num_warmup, " --seed=", flags.seed,
                  " --channels=", flags.channels_per_server);
  return command;
}

absl::Status CheckFlags(const BenchServeFlags& flags) {
  if (flags.servers.empty() == flags.merge.empty()) {
    return absl::InvalidArgumentError(
        "expected one of --server=HOST:PORT and --merge FILE...");
  }
  if (!flags.merge.empty()) {
    if (flags.save_samples.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        "--save_samples is for what --server measures, not for --merge");
  }
  if ((flags.load.concurrency > 0) == (flags.load.arrivals.rate > 0)) {
    return absl::InvalidArgumentError(
        "expected one of --concurrency=N (closed loop) and --rate=R (open "
        "loop)");
  }
  return absl::OkStatus();
}

// A model that could answer none of the requests.
absl::Status CheckFits(const RequestShape& shape, const v1::Model& model) {
  const int64_t length = int64_t{shape.prompt_tokens} + shape.max_tokens;
  if (model.context_length() == 0 || length <= model.context_length()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--prompt_tokens + --max_tokens must be at most the ",
      model.context_length(), " of ", model.name(), ", got ", length));
}

absl::StatusOr<bench::v1::ClientRun> Measure(BenchServeFlags flags) {
  ASSIGN_OR_RETURN(const ServerPool servers,
                   ServerPool::Connect(flags.servers, flags.channels_per_server,
                                       kConnectTimeout));
  RETURN_IF_ERROR(CheckFits(flags.load.shape, servers.model()));
  flags.load.shape.seed = flags.seed;
  flags.load.arrivals.seed = flags.seed;
  flags.load.timeout = absl::Seconds(flags.timeout_seconds);
  bench::v1::Environment environment =
      DescribeEnvironment(CommandOf(flags), flags.label);
  bench::v1::ClientRun run =
      MakeClientRun(flags.load, RunLoad(flags.load, servers));
  *run.mutable_environment() = std::move(environment);
  *run.mutable_model() = servers.model();
  run.mutable_servers()->Add(flags.servers.begin(), flags.servers.end());
  return run;
}

absl::StatusOr<std::vector<bench::v1::ClientRun>> ReadRuns(
    const std::vector<std::string>& paths) {
  std::vector<bench::v1::ClientRun> runs;
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxRunFileBytes));
    ASSIGN_OR_RETURN(bench::v1::ClientRun run, ParseClientRun(text, path));
    runs.push_back(std::move(run));
  }
  return runs;
}

// A file that is opened before minutes of work that would have nowhere to go.
class OutputFile {
 public:
  OutputFile(const char* flag, const std::string& path)
      : flag_(flag), path_(path) {
    if (!path.empty()) file_.open(path);
  }

  absl::Status CheckOpen() const {
    if (file_) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("--", flag_, ": cannot write to ", path_));
  }
  absl::Status Write(const std::string& text) {
    if (path_.empty()) return absl::OkStatus();
    file_ << text << std::flush;
    return CheckOpen();
  }

 private:
  const char* const flag_;
  const std::string path_;
  std::ofstream file_;
};

absl::Status SaveSamples(const bench::v1::ClientRun& run, OutputFile& file) {
  ASSIGN_OR_RETURN(const std::string text, ClientRunToJson(run));
  return file.Write(text);
}

int BenchServe(const BenchServeFlags& flags) {
  absl::Status status = CheckFlags(flags);
  if (!status.ok()) return ReportBadFlag(status.message());
  OutputFile json("json", flags.json);
  OutputFile samples("save_samples", flags.save_samples);
  for (const OutputFile* file : {&json, &samples}) {
    status = file->CheckOpen();
    if (!status.ok()) return ReportBadFlag(status.message());
  }

  std::vector<bench::v1::ClientRun> runs;
  if (flags.merge.empty()) {
    auto run = Measure(flags);
    if (!run.ok()) {
      // As a server's answer: no port of ours is busy.
      return ReportError(
          grpc::Status(static_cast<grpc::StatusCode>(run.status().code()),
                       std::string(run.status().message())));
    }
    if (!flags.save_samples.empty()) status = SaveSamples(*run, samples);
    runs.push_back(*std::move(run));
  } else {
    auto read = ReadRuns(flags.merge);
    if (!read.ok()) return ReportError(read.status());
    runs = *std::move(read);
  }

  const auto report = MakeReport(runs);
  if (!report.ok()) return ReportError(report.status());
  std::cout << ToTable(*report) << std::flush;
  status.Update(json.Write(ToJson(*report)));
  if (!status.ok()) return ReportError(status);
  return report->metrics.completed > 0 ? kExitOk : kExitFailure;
}

void AddLoadFlags(CLI::App& command, BenchServeFlags& flags) {
  LoadOptions& load = flags.load;
  CLI::Option* concurrency = command
                                 .add_option("--concurrency", load.concurrency,
                                             "Closed loop: requests at once")
                                 ->check(CLI::Range(1, 1 << 20));
  CLI::Option* rate = command
                          .add_option("--rate", load.arrivals.rate,
                                      "Open loop: requests a second")
                          ->check(CLI::Range(1e-6, 1e6))
                          ->excludes(concurrency);
  command
      .add_option("--burstiness", load.arrivals.burstiness,
                  "Open loop: shape of the gamma distribution of the times "
                  "between arrivals; 1: Poisson, less: bursts")
      ->capture_default_str()
      ->check(CLI::Range(1e-3, 1e6))
      ->needs(rate);
  command
      .add_option("--prompt_tokens", load.shape.prompt_tokens,
                  "Random ids in every prompt")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 24));
  command
      .add_option("--max_tokens", load.shape.max_tokens,
                  "New tokens of every request, met exactly")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 24));
  command.add_option("--num_requests", load.num_requests, "Requests measured")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000'000));
  command
      .add_option("--warmup", load.num_warmup,
                  "Requests before those, in the same loop and not measured")
      ->capture_default_str()
      ->check(CLI::Range(0, 10'000'000));
  command
      .add_option("--seed", flags.seed,
                  "Of prompts and arrivals; client processes that run together "
                  "take one each")
      ->capture_default_str();
}

}  // namespace

void AddBenchServeCommand(CLI::App& bench, int& exit_code) {
  auto flags = std::make_shared<BenchServeFlags>();
  flags->load.num_requests = 100;
  flags->load.arrivals.rate = 0;  // not given
  CLI::App* command = bench.add_subcommand(
      "serve",
      "Throughput and latency of running servers under load: greedy requests "
      "of random ids, of fixed lengths, streamed");
  command->add_option("--server", flags->servers,
                      "HOST:PORT of one or more servers, which take turns");
  AddLoadFlags(*command, *flags);
  command
      ->add_option("--channels", flags->channels_per_server,
                   "Connections to each server")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  command
      ->add_option("--timeout", flags->timeout_seconds,
                   "Seconds until a request is given up")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 86400.0));
  command->add_option("--json", flags->json, "File for one JSON object");
  command->add_option("--save_samples", flags->save_samples,
                      "File for what was seen of each request, for --merge");
  command->add_option("--merge", flags->merge,
                      "Instead of --server: one report of several clients' "
                      "--save_samples");
  command->add_option("--label", flags->label,
                      "Kept in the report: a commit, a machine");
  command->callback([flags, &exit_code] { exit_code = BenchServe(*flags); });
}

}  // namespace blockserve
