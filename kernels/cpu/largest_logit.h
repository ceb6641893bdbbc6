// The winner of a greedy choice, and whether the row it won is sound.
#ifndef BLOCKSERVE_KERNELS_CPU_LARGEST_LOGIT_H_
#define BLOCKSERVE_KERNELS_CPU_LARGEST_LOGIT_H_

#include <cstdint>
#include <limits>

namespace blockserve::cpu {

struct LargestLogit {
  float logit = -std::numeric_limits<float>::infinity();
  int32_t id = -1;    // the lowest on a tie; -1: all are -infinity
  bool valid = true;  // false: some are NaN or +infinity
};

// Of two parts of a row.
inline LargestLogit Merge(const LargestLogit& a, const LargestLogit& b) {
  const bool a_wins =
      b.id < 0 ||
      (a.id >= 0 && (a.logit > b.logit || (a.logit == b.logit && a.id < b.id)));
  LargestLogit merged = a_wins ? a : b;
  merged.valid = a.valid && b.valid;
  return merged;
}

}  // namespace blockserve::cpu

#endif  // BLOCKSERVE_KERNELS_CPU_LARGEST_LOGIT_H_
