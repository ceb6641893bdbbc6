// Times of an AllReduce between two ranks of this machine: threads ("local") or
// processes ("shm", "gloo").
//
//   bazel run //parallel/conformance:collective_benchmark
//
// The peer calls as fast as it can, so a time is what the collective costs and
// not what waiting for the other rank's work does.
#include <benchmark/benchmark.h>
#include <glog/logging.h>

#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "kernels/api/tensor_view.h"
#include "parallel/api/communicator.h"
#include "parallel/backends/create_communicator.h"
#include "parallel/conformance/process_exchange.h"
#include "parallel/conformance/rank_processes.h"
#include "parallel/local/thread_group.h"

namespace blockserve {
namespace {

constexpr int kSize = 2;
constexpr int64_t kMinBytes = 4 << 10;
constexpr int64_t kMaxBytes = 4 << 20;
const CommunicatorLimits kLimits = {.max_bytes = kMaxBytes,
                                    .timeout = absl::Seconds(10)};

// What a rank reduces. All zeros: sums would grow without end.
class Tensor {
 public:
  explicit Tensor(int64_t num_bytes)
      : values_(static_cast<size_t>(num_bytes) / sizeof(float)) {}
  TensorView view() {
    return TensorView(values_.data(), DType::kFloat32,
                      {static_cast<int64_t>(values_.size())});
  }

 private:
  std::vector<float> values_;
};

// Rank 0, whose calls are timed.
void Measure(Communicator& communicator, benchmark::State& state) {
  Tensor tensor(state.range(0));
  for (auto _ : state) communicator.AllReduce(tensor.view());
  CHECK(communicator.error().ok()) << communicator.error();
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

// Rank 1: until rank 0 leaves.
void Follow(Communicator& communicator, int64_t num_bytes) {
  Tensor tensor(num_bytes);
  while (communicator.error().ok()) communicator.AllReduce(tensor.view());
}

void BetweenThreads(benchmark::State& state) {
  std::vector<std::unique_ptr<Communicator>> ranks =
      CreateThreadGroup(kSize, kLimits);
  std::thread peer([&] { Follow(*ranks[1], state.range(0)); });
  Measure(*ranks[0], state);
  ranks[0].reset();
  peer.join();
}

void BetweenProcesses(benchmark::State& state, const std::string& kind) {
  ProcessExchange exchange(kSize);
  const auto create = [&](int rank) {
    auto made = CreateCommunicator(kind, rank, kSize, kLimits,
                                   /*one_host=*/true, "127.0.0.1",
                                   exchange.ForRank(rank));
    CHECK(made.ok()) << made.status();
    return *std::move(made);
  };
  RankProcesses peer(1, [&](int) {
    Follow(*create(1), state.range(0));
    return 0;
  });
  Measure(*create(0), state);
  CHECK(peer.Wait(0, absl::Seconds(10)) == 0);
}

void Sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("bytes")
      ->RangeMultiplier(4)
      ->Range(kMinBytes, kMaxBytes)
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}
BENCHMARK(BetweenThreads)->Name("AllReduce/local")->Apply(Sizes);
BENCHMARK_CAPTURE(BetweenProcesses, shm, "shm")
    ->Name("AllReduce/shm")
    ->Apply(Sizes);
BENCHMARK_CAPTURE(BetweenProcesses, gloo, "gloo")
    ->Name("AllReduce/gloo")
    ->Apply(Sizes);

}  // namespace
}  // namespace blockserve

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // as Gloo asks
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
