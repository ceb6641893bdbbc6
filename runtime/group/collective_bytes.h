// How large the collectives of a step get.
#ifndef BLOCKSERVE_RUNTIME_GROUP_COLLECTIVE_BYTES_H_
#define BLOCKSERVE_RUNTIME_GROUP_COLLECTIVE_BYTES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/api/sample_args.h"
#include "runtime/config/model_config.h"
#include "runtime/model/model.h"

namespace blockserve {

// For CommunicatorLimits::max_bytes: the residual stream of all units, or the
// tokens of all rows with log-probabilities and alternatives.
inline size_t MaxCollectiveBytes(const ModelConfig& config,
                                 const ModelLimits& limits) {
  const int64_t residual = int64_t{limits.max_units_per_step} *
                           config.cached_trunk().hidden_dim *
                           static_cast<int64_t>(sizeof(float));
  const int64_t bytes_per_token = 8 + int64_t{8} * kMaxLogprobs;
  const int64_t tokens = int64_t{limits.max_rows_per_step} *
                         config.tokens_per_step() * bytes_per_token;
  return static_cast<size_t>(std::max(residual, tokens));
}

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_GROUP_COLLECTIVE_BYTES_H_
