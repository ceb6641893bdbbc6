// Passes over the logits of one row: what sampling needs of a vocabulary.
//
// Candidates are handled as keys, integers whose order is that of preference:
// the larger logit first, the lower id on a tie.
#ifndef BLOCKSERVE_KERNELS_CPU_VOCABULARY_SCAN_H_
#define BLOCKSERVE_KERNELS_CPU_VOCABULARY_SCAN_H_

#include <bit>
#include <cstdint>
#include <limits>

#include "absl/types/span.h"
#include "kernels/cpu/largest_logit.h"

namespace blockserve::cpu {

using TokenKey = uint64_t;

// Elements that a buffer of keys needs beyond vocab_size.
inline constexpr int64_t kKeySlack = 64;

// `logit` is not NaN.
inline TokenKey KeyOf(float logit, int32_t id) {
  // + 0: the two zeros are equal. Then flip what makes unsigned order the
  // opposite of the order of floats.
  const uint32_t bits = std::bit_cast<uint32_t>(logit + 0.0f);
  const uint32_t descending = (bits >> 31) != 0 ? bits : ~bits & 0x7fffffffu;
  return (TokenKey{descending} << 32) | static_cast<uint32_t>(id);
}

inline int32_t IdOf(TokenKey key) { return static_cast<int32_t>(key); }

inline float LogitOf(TokenKey key) {
  const auto descending = static_cast<uint32_t>(key >> 32);
  return std::bit_cast<float>(
      (descending >> 31) != 0 ? descending : ~descending & 0x7fffffffu);
}

LargestLogit FindLargest(absl::Span<const float> logits);

// The unnormalised probability of a token, relative to the most likely one:
// exp((logit - largest) / temperature).
struct Share {
  float largest = 0.0f;  // FindLargest's
  float temperature = 1.0f;
};

// The shares of all tokens.
double SumOfShares(absl::Span<const float> logits, const Share& share);

// Sorts tokens into buckets of falling probability. Bucket i holds logits with
// -log(share) in [i * width, (i + 1) * width), the last one all that follow.
struct MassBuckets {
  static constexpr int kCount = 2048;

  Share share;
  float width = 0.0f;
};

// Adds the shares of each bucket's tokens to masses[0, kCount - 1); what is in
// the last bucket is left out.
void AddMasses(absl::Span<const float> logits, const MassBuckets& buckets,
               double* masses);

// Writes the keys in bucket `bucket`, without those of -infinity, in no order,
// and returns their number. `keys` has room for logits.size() + kKeySlack.
int64_t CollectBucket(absl::Span<const float> logits,
                      const MassBuckets& buckets, int bucket, TokenKey* keys);

// The same for the `count` > 0 best keys (fewer if there are no more).
int64_t CollectBest(absl::Span<const float> logits, int64_t count,
                    TokenKey* keys);

struct Draw {
  Share share;
  int32_t largest_id = 0;  // FindLargest's
  // Ids with keys up to this one take part.
  float last_logit = -std::numeric_limits<float>::infinity();
  int32_t last_id = -1;
  uint64_t seed = 0;
  uint64_t position = 0;
};

// The id with the largest logit / temperature + Gumbel noise
// (runtime/base/philox.h).
int32_t DrawToken(absl::Span<const float> logits, const Draw& draw);

}  // namespace blockserve::cpu

#endif  // BLOCKSERVE_KERNELS_CPU_VOCABULARY_SCAN_H_
