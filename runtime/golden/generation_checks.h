// Checks of what greedy generation gives.
#ifndef BLOCKSERVE_RUNTIME_GOLDEN_GENERATION_CHECKS_H_
#define BLOCKSERVE_RUNTIME_GOLDEN_GENERATION_CHECKS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "runtime/golden/check_log.h"
#include "runtime/golden/golden_bounds.h"
#include "runtime/golden/golden_cases.h"
#include "runtime/golden/model_runner.h"

namespace blockserve {

// Runs one at a time. `list` names the list in the log.
absl::Status CheckRuns(const std::string& list,
                       absl::Span<const GoldenRun> runs,
                       const GoldenBounds& bounds, ModelRunner& runner,
                       CheckLog& log);

// All rows of each batch together, then each row alone.
absl::Status CheckBatches(absl::Span<const GoldenBatch> batches,
                          const GoldenBounds& bounds, ModelRunner& runner,
                          CheckLog& log);

// Prompts that leave no room must be refused.
void CheckNoRoom(absl::Span<const GoldenRun> runs, ModelRunner& runner,
                 CheckLog& log);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_GOLDEN_GENERATION_CHECKS_H_
