// Which model a benchmark runs, and what memory it takes.
#ifndef BLOCKSERVE_RUNTIME_BENCH_BENCH_MODEL_H_
#define BLOCKSERVE_RUNTIME_BENCH_BENCH_MODEL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "kernels/api/ops.h"
#include "runtime/bench/roofline.h"
#include "runtime/config/model_config.h"
#include "runtime/model/model.h"
#include "runtime/weights/checkpoint.h"

namespace blockserve {

// A configuration and its tensors, from a directory or made up.
struct BenchModel {
  ModelConfig config;
  std::function<absl::StatusOr<std::unique_ptr<Checkpoint>>()> open_checkpoint;
};

// Errors as ReadModelConfig.
absl::StatusOr<BenchModel> BenchModelFromDirectory(
    const std::string& directory);
// Errors as PublishedModelConfig.
absl::StatusOr<BenchModel> RandomBenchModel(const std::string& name,
                                            uint64_t seed);

// Limits under which all sequences of `shape` run at once.
ModelLimits LimitsFor(const ModelConfig& config, const BatchShape& shape);

// Memory over all ranks, by pool.
struct MemoryPools {
  int64_t weights = 0;
  int64_t kv_cache = 0;
  int64_t scratch = 0;  // activations and all else of fixed size

  int64_t total() const { return weights + kv_cache + scratch; }
};

// What `num_ranks` ranks would take for `shape`, found by loading onto a device
// that takes no memory. `device` is asked for sizes. Errors as LoadModel.
absl::StatusOr<MemoryPools> PlanMemory(const BenchModel& model,
                                       const BatchShape& shape, int num_ranks,
                                       Ops& device);

// The largest batch of which `total_bytes` does not exceed `limit`, at most
// `max_batch`. `total_bytes` grows with the batch, about linearly, and is asked
// some five to ten times. RESOURCE_EXHAUSTED if not even one sequence fits.
absl::StatusOr<int> LargestBatch(
    int64_t limit, int max_batch,
    const std::function<absl::StatusOr<int64_t>(int batch)>& total_bytes);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BENCH_BENCH_MODEL_H_
