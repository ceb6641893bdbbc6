// Throughput of a group of ranks on one host, engine and control plane
// included, without router and text: how much of one rank's speed two ranks
// keep.
//
//   group_benchmark --model=DIR --ranks=2 --threads=1 --batch=256
//
// prints one line of JSON.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/blocking_counter.h"
#include "runtime/base/monotonic_clock.h"
#include "runtime/base/status_macros.h"
#include "runtime/engine/engine.h"
#include "runtime/group/group_model.h"
#include "runtime/worker/rank_host.h"

ABSL_FLAG(std::string, model, "", "Directory of a checkpoint.");
ABSL_FLAG(int, ranks, 1, "Ranks, each a process.");
ABSL_FLAG(int, threads, 1, "Threads of each rank.");
ABSL_FLAG(std::string, dtype, "auto", "auto, fp32 or bf16.");
ABSL_FLAG(std::string, collectives, "auto", "auto, shm or gloo.");
ABSL_FLAG(int, batch, 64, "Sequences that run at once.");
ABSL_FLAG(int, prompt, 128, "Prompt tokens of a sequence.");
ABSL_FLAG(int, new_tokens, 128, "Tokens that a sequence gets.");
ABSL_FLAG(int, repeat, 3, "Batches that are measured, after one that is not.");

namespace blockserve {
namespace {

ModelHostOptions HostOptions() {
  ModelHostOptions options;
  options.model = absl::GetFlag(FLAGS_model);
  options.backend.dtype = absl::GetFlag(FLAGS_dtype);
  options.backend.num_threads = absl::GetFlag(FLAGS_threads);
  options.max_batch_size = absl::GetFlag(FLAGS_batch);
  options.max_context =
      absl::GetFlag(FLAGS_prompt) + absl::GetFlag(FLAGS_new_tokens);
  options.max_waiting_requests = options.max_batch_size + 1;
  return options;
}

GroupRankOptions GroupOptionsOf(int rank, int port) {
  GroupRankOptions options;
  options.control.rank = rank;
  options.control.world_size = absl::GetFlag(FLAGS_ranks);
  options.control.listen_address = absl::StrCat("127.0.0.1:", port);
  options.control.leader_address = options.control.listen_address;
  options.collectives = absl::GetFlag(FLAGS_collectives);
  options.bind_address = "127.0.0.1";
  return options;
}

absl::StatusOr<std::unique_ptr<RankHost>> JoinedHost(int rank, int port) {
  std::optional<GroupRankOptions> group;
  if (absl::GetFlag(FLAGS_ranks) > 1) group = GroupOptionsOf(rank, port);
  ASSIGN_OR_RETURN(std::unique_ptr<RankHost> host,
                   RankHost::Create(HostOptions(), group));
  RETURN_IF_ERROR(
      host->Join(absl::Now() + absl::Minutes(2), [](int64_t, int64_t) {}));
  return host;
}

// Counts down at its end.
class CountingSink final : public RequestSink {
 public:
  explicit CountingSink(absl::BlockingCounter& left) : left_(left) {}
  void OnTokens(const TokenDelta&) override {}
  void OnDone(const RequestResult& result) override {
    if (!result.status.ok()) std::cerr << result.status << "\n";
    left_.DecrementCount();
  }

 private:
  absl::BlockingCounter& left_;
};

std::vector<GenerateRequest> Requests(int vocab_size, int round) {
  std::mt19937 random(static_cast<uint32_t>(round));
  std::vector<GenerateRequest> requests;
  for (int i = 0; i < absl::GetFlag(FLAGS_batch); ++i) {
    GenerateRequest request;
    request.request_id = absl::StrCat(round, "-", i);
    for (int t = 0; t < absl::GetFlag(FLAGS_prompt); ++t) {
      request.prompt.push_back(
          static_cast<int32_t>(random() % static_cast<uint32_t>(vocab_size)));
    }
    request.sampling.temperature = 0;
    request.sampling.max_tokens = absl::GetFlag(FLAGS_new_tokens);
    request.sampling.ignore_eos = true;
    requests.push_back(std::move(request));
  }
  return requests;
}

absl::StatusOr<absl::Duration> RunBatch(Engine& engine, int round) {
  const std::vector<GenerateRequest> requests =
      Requests(engine.model().config().vocab_size, round);
  absl::BlockingCounter left(static_cast<int>(requests.size()));
  const absl::Time begin = MonotonicNow();
  for (const GenerateRequest& request : requests) {
    RETURN_IF_ERROR(
        engine.Generate(request, std::make_shared<CountingSink>(left)));
  }
  left.Wait();
  return MonotonicNow() - begin;
}

absl::Status Lead(int port) {
  ASSIGN_OR_RETURN(const std::unique_ptr<RankHost> host, JoinedHost(0, port));
  absl::Duration steps;
  CommunicatorStats collectives;
  const auto engine = Engine::Create(
      std::make_unique<GroupModel>(
          host->model().model(), host->rank(),
          [&](const StepTimes& times) {
            steps += times.step;
            for (int op = 0; op < kNumCollectiveOps; ++op) {
              collectives.ops[op].time += times.collectives.ops[op].time;
            }
          }),
      host->model().engine_options());
  RETURN_IF_ERROR(RunBatch(*engine, 0).status());
  steps = absl::ZeroDuration();
  collectives = {};
  std::vector<double> rates;
  absl::Duration total;
  const double num_tokens = static_cast<double>(absl::GetFlag(FLAGS_batch)) *
                            absl::GetFlag(FLAGS_new_tokens);
  for (int round = 1; round <= absl::GetFlag(FLAGS_repeat); ++round) {
    ASSIGN_OR_RETURN(const absl::Duration time, RunBatch(*engine, round));
    rates.push_back(num_tokens / absl::ToDoubleSeconds(time));
    total += time;
  }
  std::sort(rates.begin(), rates.end());
  absl::Duration waiting;
  for (const CollectiveCount& count : collectives.ops) waiting += count.time;
  std::cout << absl::StrFormat(
                   "{\"ranks\": %d, \"threads\": %d, \"batch\": %d, "
                   "\"prompt\": %d, \"new_tokens\": %d, "
                   "\"tokens_per_second\": %.1f, \"min\": %.1f, \"max\": %.1f, "
                   "\"steps_share\": %.4f, \"collectives_share\": %.3f, "
                   "\"backend\": \"%s\"}",
                   absl::GetFlag(FLAGS_ranks), absl::GetFlag(FLAGS_threads),
                   absl::GetFlag(FLAGS_batch), absl::GetFlag(FLAGS_prompt),
                   absl::GetFlag(FLAGS_new_tokens), rates[rates.size() / 2],
                   rates.front(), rates.back(),
                   absl::FDivDuration(steps, total),
                   steps > absl::ZeroDuration()
                       ? absl::FDivDuration(waiting, steps)
                       : 0.0,
                   host->model().report().description)
            << std::endl;
  return absl::OkStatus();
}

absl::Status Follow(int rank, int port) {
  ASSIGN_OR_RETURN(const std::unique_ptr<RankHost> host,
                   JoinedHost(rank, port));
  (void)RunPlans(host->model().model(), *host->rank(), nullptr);
  return absl::OkStatus();
}

int Run() {
  // Before anything has threads.
  const int port = 20000 + static_cast<int>(getpid() % 20000);
  std::vector<pid_t> children;
  for (int rank = 1; rank < absl::GetFlag(FLAGS_ranks); ++rank) {
    const pid_t child = fork();
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      const absl::Status status = Follow(rank, port);
      if (!status.ok()) std::cerr << "rank " << rank << ": " << status << "\n";
      std::_Exit(status.ok() ? 0 : 1);
    }
    children.push_back(child);
  }
  const absl::Status status = Lead(port);
  if (!status.ok()) std::cerr << "rank 0: " << status << "\n";
  for (const pid_t child : children) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace blockserve

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  std::signal(SIGPIPE, SIG_IGN);
  return blockserve::Run();
}
