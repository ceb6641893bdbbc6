// What some GPUs can serve of a model: memory of each rank, the batch that
// fits, tokens a second, and what bounds them, for each way of dealing the
// model to the GPUs. Computed, not measured (step_time.h).
#ifndef BLOCKSERVE_RUNTIME_PLAN_SERVING_PLAN_H_
#define BLOCKSERVE_RUNTIME_PLAN_SERVING_PLAN_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/config/model_config.h"
#include "runtime/plan/step_time.h"

namespace blockserve {

struct PlanOptions {
  PlanAssumptions assumptions;
  int num_gpus = 1;
  int prompt_tokens = 128;
  int new_tokens = 2048;
};

// How the model is dealt: `num_groups` groups that do not know of each other,
// of `ranks` ranks each.
struct Layout {
  Sharing sharing = Sharing::kAlone;
  int ranks = 1;
  int num_groups = 1;
};

struct RankMemory {
  double weight_bytes = 0;
  double sequence_bytes = 0;  // a sequence's share: cache and activations
  double usable_bytes = 0;
};

// All GPUs together, over prompts and decoding, at some number of sequences.
struct ServingRate {
  int64_t batch = 0;  // sequences at once, over all groups
  double tokens_per_second = 0;
  double seconds_per_token = 0;  // of one sequence while it decodes
  double prompt_share = 0;       // of the time
  StepTime decode_shares;        // of the time; they and the prompt's add to 1

  // The largest share: "prefill", "compute", "memory", "launch", "exchange".
  std::string bound() const;
  double bound_share() const;
};

struct LayoutPlan {
  Layout layout;
  RankMemory memory;
  int64_t max_batch = 0;             // of one group; 0: the model does not fit
  double prompt_latency = 0;         // seconds, one prompt on idle GPUs
  ServingRate full;                  // at the batch that fits; without a batch:
                                     // nothing
  std::vector<ServingRate> regimes;  // at smaller ones
};

struct ServingPlan {
  double parameters = 0;
  double flop_per_token = 0;         // decoding, at the mean context
  double cache_bytes_per_token = 0;  // kept
  double read_bytes_per_token = 0;   // of keys and values, at the mean context
  double sequence_bytes = 0;         // kept, of prompt and new tokens
  std::vector<LayoutPlan> layouts;   // groups of one first
  std::vector<std::string> refused;  // layouts that the model's heads forbid
};

// INVALID_ARGUMENT for fewer than one GPU or token; UNIMPLEMENTED for a kind of
// model that HasRoofline() knows not.
absl::StatusOr<ServingPlan> MakeServingPlan(const ModelConfig& config,
                                            const PlanOptions& options);

// Of a whole group at `batch` sequences each; of one layout.
ServingRate RateOf(const ModelConfig& config, const PlanOptions& options,
                   const Layout& layout, int64_t batch);

// "replicas", "tensor", "hybrid".
std::string NameOf(Sharing sharing);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_PLAN_SERVING_PLAN_H_
