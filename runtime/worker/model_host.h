// From a checkpoint directory to an engine that serves it: backend, size of the
// KV cache, weights.
#ifndef BLOCKSERVE_RUNTIME_WORKER_MODEL_HOST_H_
#define BLOCKSERVE_RUNTIME_WORKER_MODEL_HOST_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "kernels/api/ops.h"
#include "runtime/backend/backend.h"
#include "runtime/engine/engine.h"
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
  std::string family;
  std::vector<PartSize> parts;
  int64_t num_parameters = 0;
  int64_t weight_bytes = 0;
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

// The parts outlive each other in this order.
struct HostedModel {
  std::unique_ptr<Ops> ops;
  std::unique_ptr<Engine> engine;
  ModelReport report;
};

// Loads and starts. Errors as CreateBackend, ReadModelConfig and LoadModel;
// INVALID_ARGUMENT if the KV cache has no room for one sequence of max_context
// tokens.
// `progress` (optional) gets (bytes read, bytes in all).
absl::StatusOr<HostedModel> HostModel(
    const ModelHostOptions& options, EngineObserver observer,
    std::function<void(int64_t, int64_t)> progress);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WORKER_MODEL_HOST_H_
