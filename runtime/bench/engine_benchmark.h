// The engine benchmark: tokens a second of a model by the authors' protocol,
// with the peaks of the machine it ran on.
#ifndef BLOCKSERVE_RUNTIME_BENCH_ENGINE_BENCHMARK_H_
#define BLOCKSERVE_RUNTIME_BENCH_ENGINE_BENCHMARK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/backend/backend.h"
#include "runtime/bench/batch_run.h"
#include "runtime/bench/bench_model.h"
#include "runtime/bench/phases.h"
#include "runtime/bench/roofline.h"

namespace blockserve {

struct EngineBenchOptions {
  // One of them: a checkpoint's directory, or a published name (random
  // weights).
  std::string model;
  std::string random;
  BackendOptions backend;  // num_threads of a rank; 0: the cores dealt evenly
  int num_ranks = 1;       // threads of this process
  int batch = 0;           // 0: the largest that fits in memory_limit
  int prefill = 128;
  int decode = 2048;
  int max_prefill_units = 512;
  int repeat = 3;
  // For weights, KV cache and scratch of all ranks; 0: three quarters of what
  // the process may still take.
  int64_t memory_limit = 0;
  uint64_t seed = 1;
  bool phases = true;  // one more run, for where the time goes
  // Read to measure the bandwidth of memory.
  size_t bandwidth_bytes = size_t{2} << 30;
};

// Peaks of the machine, measured some times before and after the runs: the best
// product, the median read.
struct MachinePeaks {
  double gemm_flops = 0;
  double read_bytes_per_second = 0;
};

struct EngineBenchReport {
  std::string model;  // the configuration's name
  bool has_random_weights = false;
  std::string backend;  // as Ops::Describe
  std::string dtype;
  int num_ranks = 1;
  int num_threads = 1;  // of each rank
  BatchShape shape;
  int tokens_per_step = 1;
  uint64_t seed = 0;

  std::vector<double> tokens_per_second;  // of the repeats, in order of size
  BatchTimes times;                       // over all repeats
  MachinePeaks peaks;                     // zero: not measured, as on a GPU
  // Of all cores' time during the repeats; none if unknown.
  std::optional<double> others_cpu_share;
  // Of one batch; zero for a model without (HasRoofline).
  Work prefill_work;
  Work decode_work;

  MemoryPools memory;
  int64_t resident_bytes = 0;  // of the process, while the model was loaded
  absl::Duration load_time;
  bool has_phases = false;
  PhaseTimes phases;

  double MedianTokensPerSecond() const;
  double DecodeTokensPerSecond() const;   // of steps without prompt units
  double PrefillTokensPerSecond() const;  // prompt tokens
  // Shares of the roofline: of whole batches; of steps without prompt units;
  // of steps with them.
  double RooflineShare() const;
  double DecodeRooflineShare() const;
  double PrefillRooflineShare() const;
};

// `progress` (optional) is told in a word what is done next. Errors:
// INVALID_ARGUMENT for options that make no sense together (expected and got);
// RESOURCE_EXHAUSTED for a batch that does not fit; those of loading a model.
absl::StatusOr<EngineBenchReport> RunEngineBenchmark(
    const EngineBenchOptions& options,
    const std::function<void(std::string_view)>& progress = nullptr);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BENCH_ENGINE_BENCHMARK_H_
