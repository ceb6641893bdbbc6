// A rank's model: backend, size of the KV cache, weights.
#ifndef BLOCKSERVE_RUNTIME_WORKER_MODEL_HOST_H_
#define BLOCKSERVE_RUNTIME_WORKER_MODEL_HOST_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "kernels/api/ops.h"
#include "parallel/api/rank_group.h"
#include "runtime/backend/backend.h"
#include "runtime/config/model_config.h"
#include "runtime/engine/engine.h"
#include "runtime/group/rank_setup.h"
#include "runtime/model/model.h"

namespace blockserve {

struct ModelHostOptions {
  std::string model;  // directory
  BackendOptions backend;
  PrefixPositions prefix_positions = PrefixPositions::kForward;
  int max_batch_size = 64;      // sequences running at once
  int max_context = 2048;       // tokens: prompt + max_tokens
  int max_prefill_units = 512;  // prompt units per step
  int64_t kv_cache_bytes = 0;   // 0: enough for max_batch_size sequences of
                                // max_context, at most half of the memory that
                                // is left beside the weights
  int max_waiting_requests = 256;
  int64_t max_waiting_prompt_tokens = 1 << 20;
};

// What the start-up report tells, beside the model's own sizes.
struct ModelReport {
  int rank = 0;
  int world_size = 1;
  std::string family;
  // Of this rank, as all sizes below.
  std::vector<PartSize> parts;
  int64_t num_parameters = 0;
  int64_t weight_bytes = 0;
  int64_t bytes_read = 0;  // of the checkpoint's bytes_stored
  int64_t bytes_stored = 0;
  std::string backend;      // "cpu"
  std::string description;  // instruction set, threads
  std::string dtype;
  int tokens_per_page = 0;
  int num_pages = 0;
  int64_t page_bytes = 0;
  int64_t scratch_bytes = 0;
  int max_batch_size = 0;
  int max_context = 0;
  // How many sequences of how many tokens the pages hold, the longest first.
  std::vector<std::pair<int, int>> capacity;
  absl::Duration load_time;

  // Several lines for people.
  std::string ToText() const;
};

// From a checkpoint directory to a model that can step: this rank's part of it.
// Used by one thread at a time.
class ModelHost {
 public:
  // Reads the configuration and opens the device. `group` must outlive this.
  // Errors as CreateBackend and ReadModelConfig; INVALID_ARGUMENT if the KV
  // cache has no room for one sequence of max_context tokens.
  static absl::StatusOr<std::unique_ptr<ModelHost>> Prepare(
      const ModelHostOptions& options, const RankGroup& group);

  // What this rank could load with or, once loaded, is loaded with.
  RankSetup Offer() const;
  // Loads within what the group has agreed on; once. Errors as LoadModel.
  // `progress` (optional) gets (bytes read, bytes in all).
  absl::Status Load(const RankSetup& agreed,
                    std::function<void(int64_t, int64_t)> progress);
  bool is_loaded() const { return model_ != nullptr; }

  // One step over one unit, on all ranks of a group at once, so that what a
  // backend makes on first use (oneDNN's primitives: some 0.3 s) is there
  // before the first request, and collectives have been tried. The page it
  // writes to belongs to nobody yet.
  absl::Status WarmUp();

  Ops& ops() { return *ops_; }

  // After Load.
  Model& model() { return *model_; }
  const ModelReport& report() const { return report_; }
  EngineOptions engine_options() const;

  const ModelConfig& config() const { return config_; }

 private:
  ModelHost(const ModelHostOptions& options, const RankGroup& group,
            const ModelConfig& config)
      : options_(options), group_(group), config_(config) {}

  const ModelHostOptions options_;
  const RankGroup& group_;
  const ModelConfig config_;
  std::unique_ptr<Ops> ops_;
  RankSetup offer_;
  std::unique_ptr<Model> model_;  // uses ops_
  ModelReport report_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WORKER_MODEL_HOST_H_
