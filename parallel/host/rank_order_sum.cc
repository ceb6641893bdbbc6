#include "parallel/host/rank_order_sum.h"

#include <algorithm>
#include <cstring>

namespace blockserve {
namespace {

// Stays in the first-level cache while the sources pass by; a source that is
// also the output is read before it is written.
constexpr int64_t kTileLength = 512;

void Add(const float* source, int64_t count, float* __restrict sum) {
  for (int64_t i = 0; i < count; ++i) sum[i] += source[i];
}

}  // namespace

void RankOrderSum(absl::Span<const float* const> sources, int64_t count,
                  float* output) {
  alignas(64) float sum[kTileLength];
  for (int64_t begin = 0; begin < count; begin += kTileLength) {
    const int64_t length = std::min(kTileLength, count - begin);
    const size_t num_bytes = static_cast<size_t>(length) * sizeof(float);
    std::memcpy(sum, sources[0] + begin, num_bytes);
    for (const float* source : sources.subspan(1)) {
      Add(source + begin, length, sum);
    }
    std::memcpy(output + begin, sum, num_bytes);
  }
}

}  // namespace blockserve
