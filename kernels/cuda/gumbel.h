// The noise that a draw adds to a logit: runtime/base/philox.h in device code,
// the same bits but for the logarithm. Included by .cu files.
#ifndef BLOCKSERVE_KERNELS_CUDA_GUMBEL_H_
#define BLOCKSERVE_KERNELS_CUDA_GUMBEL_H_

#include <cstdint>

#include "kernels/cuda/compat.h"

namespace blockserve::cuda {

struct RandomWords {
  uint32_t words[4];
};

// SamplingWords: those of ids [4 * group, 4 * group + 4).
__device__ inline RandomWords SamplingWords(uint64_t seed, uint64_t position,
                                            uint32_t group) {
  uint32_t counter[4] = {group, static_cast<uint32_t>(position),
                         static_cast<uint32_t>(position >> 32), 0u};
  uint32_t key[2] = {static_cast<uint32_t>(seed),
                     static_cast<uint32_t>(seed >> 32)};
  for (int round = 0; round < 10; ++round) {
    const uint32_t low_0 = 0xD2511F53u * counter[0];
    const uint32_t high_0 = __umulhi(0xD2511F53u, counter[0]);
    const uint32_t low_1 = 0xCD9E8D57u * counter[2];
    const uint32_t high_1 = __umulhi(0xCD9E8D57u, counter[2]);
    counter[0] = high_1 ^ counter[1] ^ key[0];
    counter[1] = low_1;
    counter[2] = high_0 ^ counter[3] ^ key[1];
    counter[3] = low_0;
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return {{counter[0], counter[1], counter[2], counter[3]}};
}

__device__ inline float GumbelFromWord(uint32_t word) {
  const float uniform = (static_cast<float>(word >> 9) + 0.5f) * 0x1p-23f;
  return -logf(-logf(uniform));
}

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_GUMBEL_H_
