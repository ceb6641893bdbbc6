// Checks a directory of golden vectors on the CUDA backend without a GPU: the
// whole model, its kernels as fibers, CUDA, cuBLASLt and NCCL faked. Prints
// what `blockserve golden` prints.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <iostream>
#include <string>

#include "absl/strings/str_format.h"
#include "runtime/golden/golden_case.h"
#include "tests/cuda_host/host_devices.h"

namespace blockserve {
namespace {

int Run(const std::string& directory, GoldenOptions options, uint64_t seed,
        bool graphs) {
  options.devices = HostCudaDevices(options.num_ranks, seed, graphs);
  const absl::StatusOr<GoldenResult> result =
      RunGoldenCase(directory, options, std::cout);
  if (!result.ok()) {
    std::cerr << "error: " << result.status() << "\n";
    return 2;
  }
  std::cout << absl::StrFormat("golden: %d passed, %d failed\n", result->passed,
                               result->failed);
  return result->failed == 0 && result->passed > 0 ? 0 : 1;
}

}  // namespace
}  // namespace blockserve

int main(int argc, char** argv) {
  CLI::App app("Golden vectors on the CUDA backend, emulated on the host");
  std::string directory;
  blockserve::GoldenOptions options;
  uint64_t seed = 1;
  bool graphs = true;
  app.add_option("--case", directory,
                 "Directory with a checkpoint and cases.json")
      ->required();
  app.add_option("--dtype", options.dtype, "fp32 or bf16")
      ->capture_default_str()
      ->check(CLI::IsMember({"fp32", "bf16"}));
  app.add_option("--ranks", options.num_ranks,
                 "Ranks that share the model, each a device and a thread")
      ->capture_default_str()
      ->check(CLI::Range(1, 16));
  app.add_option("--graphs", graphs, "Replay steps that come again (0 or 1)")
      ->capture_default_str();
  app.add_option("--seed", seed,
                 "Of the order of threads, CTAs, streams and copies")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return blockserve::Run(directory, options, seed, graphs);
}
