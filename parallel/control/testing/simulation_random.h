// What a seed makes happen: SplitMix64, the same everywhere.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_TESTING_SIMULATION_RANDOM_H_
#define BLOCKSERVE_PARALLEL_CONTROL_TESTING_SIMULATION_RANDOM_H_

#include <cstdint>

#include "absl/time/time.h"

namespace blockserve {

class SimulationRandom {
 public:
  explicit SimulationRandom(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t x = state_ += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }
  // In [low, high].
  int Int(int low, int high) {
    return low +
           static_cast<int>(Next() % static_cast<uint64_t>(high - low + 1));
  }
  bool Chance(int percent) { return Int(1, 100) <= percent; }
  absl::Duration Between(absl::Duration low, absl::Duration high) {
    const int64_t span = absl::ToInt64Microseconds(high - low);
    return low + absl::Microseconds(static_cast<int64_t>(
                     Next() % static_cast<uint64_t>(span + 1)));
  }

 private:
  uint64_t state_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_TESTING_SIMULATION_RANDOM_H_
