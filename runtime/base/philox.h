// Counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011).
//
// A draw is a pure function of key and counter, so a sampled token depends on
// its request's seed and its position and on nothing else: not on the batch,
// the rank, or how often a request was moved.
#ifndef BLOCKSERVE_RUNTIME_BASE_PHILOX_H_
#define BLOCKSERVE_RUNTIME_BASE_PHILOX_H_

#include <array>
#include <cmath>
#include <cstdint>

namespace blockserve {

constexpr std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter,
                                             std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product_0 = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t product_1 = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(product_1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product_1),
               static_cast<uint32_t>(product_0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product_0)};
    key = {key[0] + 0x9E3779B9u, key[1] + 0xBB67AE85u};
  }
  return counter;
}

// The four random words that ids [4 * group, 4 * group + 4) use when the token
// at `position` is drawn under `seed`.
constexpr std::array<uint32_t, 4> SamplingWords(uint64_t seed,
                                                uint64_t position,
                                                uint32_t group) {
  return Philox4x32(
      {group, static_cast<uint32_t>(position),
       static_cast<uint32_t>(position >> 32), 0u},
      {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
}

// Standard Gumbel noise from a random word, in about [-2.9, 16.7]. 23 bits, so
// that adding one half is exact: with 24 the largest word would round to 1,
// whose noise is infinite and wins every draw.
inline float GumbelFromWord(uint32_t word) {
  const float uniform = (static_cast<float>(word >> 9) + 0.5f) * 0x1p-23f;
  return -std::log(-std::log(uniform));
}

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BASE_PHILOX_H_
