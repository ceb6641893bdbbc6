// What a machine with a GPU is checked with: golden vectors and benchmarks of
// the engine on the CUDA backend, without servers. Linked with NVIDIA's
// libraries, or with those of kernels/cuda_host.
#include <cuda_runtime_api.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "kernels/cuda/cuda_ops.h"
#include "parallel/conformance/exchange_hub.h"
#include "parallel/nccl/nccl_communicator.h"
#include "runtime/base/status_macros.h"
#include "runtime/bench/engine_benchmark.h"
#include "runtime/bench/engine_report.h"
#include "runtime/golden/golden_case.h"

namespace blockserve {
namespace {

constexpr int kOk = 0;
constexpr int kFailed = 1;
constexpr int kError = 2;

int ReportStatus(const absl::Status& status) {
  std::cerr << "error: " << status << "\n";
  return kError;
}

// Each rank on a device of its own, NCCL between them.
GoldenDevices DevicesFor(int num_ranks) {
  GoldenDevices devices;
  devices.create_ops = [](const std::string& dtype,
                          int rank) -> absl::StatusOr<std::unique_ptr<Ops>> {
    CudaOptions options;
    options.dtype = dtype == "bf16" ? DType::kBFloat16 : DType::kFloat32;
    options.device_ordinal = rank;
    ASSIGN_OR_RETURN(std::unique_ptr<CudaOps> ops, CudaOps::Create(options));
    return ops;
  };
  auto hub = std::make_shared<ExchangeHub>(num_ranks);
  devices.connect =
      [hub, num_ranks](
          int rank, const CommunicatorLimits& limits,
          Ops& ops) -> absl::StatusOr<std::unique_ptr<Communicator>> {
    // Makes the rank's device the thread's own.
    RETURN_IF_ERROR(ops.Synchronize());
    return CreateNcclCommunicator(
        rank, num_ranks, limits, static_cast<cudaStream_t>(ops.native_stream()),
        hub->ForRank(rank));
  };
  return devices;
}

int Golden(const std::string& directory, GoldenOptions options) {
  if (options.num_ranks > 1) options.devices = DevicesFor(options.num_ranks);
  const absl::StatusOr<GoldenResult> result =
      RunGoldenCase(directory, options, std::cout);
  if (!result.ok()) return ReportStatus(result.status());
  std::cout << absl::StrFormat("golden: %d passed, %d failed\n", result->passed,
                               result->failed);
  return result->failed == 0 && result->passed > 0 ? kOk : kFailed;
}

int Bench(const EngineBenchOptions& options, const std::string& json) {
  const auto report = RunEngineBenchmark(options, [](std::string_view what) {
    std::cerr << "bench: " << what << "\n";
  });
  if (!report.ok()) return ReportStatus(report.status());
  const RunContext context = {.command = "gpu_check bench",
                              .label = "",
                              .date = absl::Now(),
                              .cpu = CpuName()};
  std::cout << ToTable(*report, context) << std::flush;
  std::ofstream file(json);
  file << ToJson(*report, context) << std::flush;
  if (file) return kOk;
  std::cerr << "error: cannot write to " << json << "\n";
  return kError;
}

int Run(int argc, char** argv) {
  CLI::App app("Checks of the CUDA backend on a device");
  app.require_subcommand(1);
  std::string directory;
  GoldenOptions golden;
  golden.backend = "cuda";
  CLI::App* golden_command = app.add_subcommand("golden", "Golden vectors");
  golden_command->add_option("--case", directory, "Directory")->required();
  golden_command->add_option("--dtype", golden.dtype, "fp32 or bf16")
      ->capture_default_str();
  golden_command
      ->add_option("--ranks", golden.num_ranks,
                   "Devices that share the model, each with a thread")
      ->capture_default_str()
      ->check(CLI::Range(1, 16));

  EngineBenchOptions bench;
  bench.backend.backend = "cuda";
  bench.phases = false;
  bench.repeat = 1;
  std::string json;
  CLI::App* bench_command = app.add_subcommand("bench", "The engine's speed");
  bench_command->add_option("--random", bench.random, "Published configuration")
      ->required();
  bench_command->add_option("--prefill", bench.prefill, "Prompt tokens");
  bench_command->add_option("--decode", bench.decode, "New tokens");
  bench_command->add_option("--batch", bench.batch,
                            "Sequences; 0: the most that fit");
  bench_command->add_option("--repeat", bench.repeat, "Runs");
  bench_command->add_option("--dtype", bench.backend.dtype, "fp32 or bf16");
  bench_command
      ->add_option("--memory_limit", bench.memory_limit, "Bytes, as 8GiB")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false));
  bench_command->add_option("--json", json, "File for the report")->required();
  CLI11_PARSE(app, argc, argv);
  return *golden_command ? Golden(directory, golden) : Bench(bench, json);
}

}  // namespace
}  // namespace blockserve

int main(int argc, char** argv) { return blockserve::Run(argc, argv); }
