// The one way in which ranks' numbers are added up, so that every communicator
// over host memory gives the same bits however work is cut and whoever is late.
#ifndef BLOCKSERVE_PARALLEL_HOST_RANK_ORDER_SUM_H_
#define BLOCKSERVE_PARALLEL_HOST_RANK_ORDER_SUM_H_

#include <cstdint>

#include "absl/types/span.h"

namespace blockserve {

// output[i] = (sources[0][i] + sources[1][i]) + sources[2][i] + ...
//   output: [count]; may be one of the sources, but not overlap one otherwise
void RankOrderSum(absl::Span<const float* const> sources, int64_t count,
                  float* output);

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_HOST_RANK_ORDER_SUM_H_
