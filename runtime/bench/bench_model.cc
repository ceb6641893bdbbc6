#include "runtime/bench/bench_model.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "kernels/profile/sizing_ops.h"
#include "parallel/api/rank_group.h"
#include "runtime/base/status_macros.h"
#include "runtime/bench/random_checkpoint.h"
#include "runtime/config/model_config_reader.h"
#include "runtime/config/published_models.h"
#include "runtime/worker/kv_cache_plan.h"

namespace blockserve {

absl::StatusOr<BenchModel> BenchModelFromDirectory(
    const std::string& directory) {
  BenchModel model;
  ASSIGN_OR_RETURN(model.config, ReadModelConfig(directory));
  model.open_checkpoint = [directory] { return Checkpoint::Open(directory); };
  return model;
}

absl::StatusOr<BenchModel> RandomBenchModel(const std::string& name,
                                            uint64_t seed) {
  BenchModel model;
  ASSIGN_OR_RETURN(model.config, PublishedModelConfig(name));
  model.open_checkpoint = [config = model.config, seed] {
    return CreateRandomCheckpoint(config, seed);
  };
  return model;
}

ModelLimits LimitsFor(const ModelConfig& config, const BatchShape& shape) {
  const KvCacheNeeds needs = {
      .tokens_per_unit = config.tokens_per_step(),
      .max_sequences = shape.batch,
      .max_context_tokens = shape.prefill + shape.decode};
  ModelLimits limits;
  limits.max_rows_per_step = shape.batch;
  limits.max_sequences_per_step = shape.batch;
  limits.max_units_per_step = shape.batch + shape.max_prefill_units;
  limits.max_units_per_sequence = needs.MaxUnits();
  limits.num_pages = shape.batch * needs.PagesFor(needs.max_context_tokens);
  return limits;
}

absl::StatusOr<MemoryPools> PlanMemory(const BenchModel& model,
                                       const BatchShape& shape, int num_ranks,
                                       Ops& device) {
  ModelOptions options;
  options.limits = LimitsFor(model.config, shape);
  MemoryPools pools;
  for (int rank = 0; rank < num_ranks; ++rank) {
    const RankGroup group = {rank, num_ranks, /*communicator=*/nullptr};
    options.group = &group;
    SizingOps ops(device);
    ASSIGN_OR_RETURN(const std::unique_ptr<Checkpoint> checkpoint,
                     model.open_checkpoint());
    ASSIGN_OR_RETURN(const std::unique_ptr<Model> loaded,
                     LoadModel(model.config, *checkpoint, options, ops));
    for (const PartSize& part : loaded->parts()) {
      pools.weights += part.num_bytes;
    }
    pools.kv_cache += static_cast<int64_t>(loaded->kv_bytes_per_page()) *
                      options.limits.num_pages;
    pools.scratch += static_cast<int64_t>(loaded->scratch_bytes());
  }
  return pools;
}

absl::StatusOr<int> LargestBatch(
    int64_t limit, int max_batch,
    const std::function<absl::StatusOr<int64_t>(int batch)>& total_bytes) {
  constexpr int kMaxProbes = 12;
  ASSIGN_OR_RETURN(const int64_t smallest, total_bytes(1));
  if (smallest > limit) {
    return absl::ResourceExhaustedError(
        absl::StrCat("expected at least ", smallest,
                     " bytes for one sequence, got a limit"
                     " of ",
                     limit));
  }
  // The answer lies in [fits, exceeds). The first probe tells how steep the
  // line is, the others are where it meets the limit, or, if that did not halve
  // the interval (padding makes stairs of the line), its middle.
  int fits = 1;
  int64_t fits_bytes = smallest;
  int exceeds = max_batch + 1;
  double bytes_each = 0;
  int64_t guess = 128;
  for (int probe = 0; probe < kMaxProbes && fits + 1 < exceeds; ++probe) {
    const int interval = exceeds - fits;
    const int batch =
        static_cast<int>(std::clamp<int64_t>(guess, fits + 1, exceeds - 1));
    ASSIGN_OR_RETURN(const int64_t bytes, total_bytes(batch));
    bytes_each =
        std::max(1.0, static_cast<double>(bytes - fits_bytes) / (batch - fits));
    if (bytes <= limit) {
      fits = batch;
      fits_bytes = bytes;
    } else {
      exceeds = batch;
    }
    const auto more = static_cast<int64_t>(
        static_cast<double>(limit - fits_bytes) / bytes_each);
    if (more == 0 && fits == batch) break;
    const bool has_halved = exceeds - fits <= interval / 2;
    guess = has_halved || exceeds > max_batch ? fits + more
                                              : fits + (exceeds - fits) / 2;
  }
  return fits;
}

}  // namespace blockserve
