// Checks of scored continuations.
#ifndef BLOCKSERVE_RUNTIME_GOLDEN_SCORE_CHECKS_H_
#define BLOCKSERVE_RUNTIME_GOLDEN_SCORE_CHECKS_H_

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "runtime/config/model_config.h"
#include "runtime/golden/check_log.h"
#include "runtime/golden/golden_bounds.h"
#include "runtime/golden/golden_cases.h"
#include "runtime/golden/model_runner.h"

namespace blockserve {

// The blocks and masks that each entry gives must be what its mode makes of
// context and continuation. Needs no model.
absl::Status CheckScoreLayouts(absl::Span<const GoldenScore> scores,
                               const ModelConfig& config, CheckLog& log);

// Log-probabilities and is_greedy of every entry. Tokens whose context comes
// from blocks without a single token are left out (FORMAT.md 10, item 4).
absl::Status CheckScores(absl::Span<const GoldenScore> scores,
                         const GoldenBounds& bounds, ModelRunner& runner,
                         CheckLog& log);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_GOLDEN_SCORE_CHECKS_H_
