// Random bits for seeds, ids and jitter. Not for secrets.
#ifndef BLOCKSERVE_ROUTER_RANDOM_SOURCE_H_
#define BLOCKSERVE_ROUTER_RANDOM_SOURCE_H_

#include <atomic>
#include <cstdint>

namespace blockserve {

// SplitMix64's output function: a bijection that spreads every input bit.
inline uint64_t MixBits(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// A sequence that its seed determines. Thread-safe.
class RandomSource {
 public:
  explicit RandomSource(uint64_t seed) : state_(MixBits(seed)) {}

  uint64_t Next() {
    return MixBits(state_.fetch_add(kGamma, std::memory_order_relaxed));
  }

 private:
  static constexpr uint64_t kGamma = 0x9e3779b97f4a7c15u;
  std::atomic<uint64_t> state_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_RANDOM_SOURCE_H_
