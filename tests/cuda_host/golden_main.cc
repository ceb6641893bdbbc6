// Checks a directory of golden vectors on the CUDA backend without a GPU: the
// whole model, its kernels as fibers, CUDA, cuBLASLt and NCCL faked. Prints
// what `blockserve golden` prints.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "runtime/golden/golden_case.h"
#include "tests/cuda_host/golden_processes.h"
#include "tests/cuda_host/host_devices.h"

namespace blockserve {
namespace {

int Report(const absl::StatusOr<GoldenResult>& result, const std::string& log) {
  std::cout << log;
  if (!result.ok()) {
    std::cerr << "error: " << result.status() << std::endl;
    return 2;
  }
  std::cout << absl::StrFormat("golden: %d passed, %d failed\n", result->passed,
                               result->failed)
            << std::flush;
  return result->failed == 0 && result->passed > 0 ? 0 : 1;
}

int RunThreads(const GoldenProcesses& run) {
  GoldenOptions options = run.options;
  options.devices = HostCudaDevices(options.num_ranks, run.seed, run.graphs);
  return Report(RunGoldenCase(run.directory, options, std::cout), "");
}

// What rank 0 has to say, and whether the others agree.
int RunProcesses(const GoldenProcesses& run) {
  const std::vector<int> codes = RunGoldenProcesses(
      run, [](int rank, const absl::StatusOr<GoldenResult>& result,
              const std::string& log) {
        if (rank == 0) return Report(result, log);
        return result.ok() && result->failed == 0 ? 0 : 1;
      });
  for (size_t rank = 0; rank < codes.size(); ++rank) {
    if (codes[rank] == 0) continue;
    std::cerr << "error: rank " << rank << " ended with " << codes[rank]
              << "\n";
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace blockserve

int main(int argc, char** argv) {
  CLI::App app("Golden vectors on the CUDA backend, emulated on the host");
  blockserve::GoldenProcesses run;
  bool processes = false;
  app.add_option("--case", run.directory,
                 "Directory with a checkpoint and cases.json")
      ->required();
  app.add_option("--dtype", run.options.dtype, "fp32 or bf16")
      ->capture_default_str()
      ->check(CLI::IsMember({"fp32", "bf16"}));
  app.add_option("--ranks", run.options.num_ranks,
                 "Ranks that share the model, each a device and a thread")
      ->capture_default_str()
      ->check(CLI::Range(1, 16));
  app.add_option("--processes", processes,
                 "Each rank a process instead, which makes all checks but "
                 "those of intermediate tensors (0 or 1)")
      ->capture_default_str();
  app.add_option("--graphs", run.graphs,
                 "Replay steps that come again (0 or 1)")
      ->capture_default_str();
  app.add_option("--seed", run.seed,
                 "Of the order of threads, CTAs, streams and copies")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return processes ? blockserve::RunProcesses(run)
                   : blockserve::RunThreads(run);
}
