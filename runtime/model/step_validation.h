// Refuses a step that a model could not run.
#ifndef BLOCKSERVE_RUNTIME_MODEL_STEP_VALIDATION_H_
#define BLOCKSERVE_RUNTIME_MODEL_STEP_VALIDATION_H_

#include "absl/status/status.h"
#include "runtime/model/model.h"

namespace blockserve {

struct StepRules {
  ModelLimits limits;
  int tokens_per_step = 1;
  int vocab_size = 0;     // ids are below it
  int max_positions = 0;  // of a sequence, in units
};

// INVALID_ARGUMENT unless each limit is positive.
absl::Status ValidateLimits(const ModelLimits& limits);

// INVALID_ARGUMENT naming what was expected, what came, and where. After OK no
// index that is made from `input` lies outside its array.
absl::Status ValidateStep(const StepInput& input, const StepRules& rules);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_MODEL_STEP_VALIDATION_H_
