#include "kernels/cpu/amx/normal_tail.h"

#include <cmath>

namespace blockserve::cpu::amx {
namespace {

constexpr int kDegree = 3;

double Tail(double x) { return 0.5 * std::erfc(x * M_SQRT1_2); }

// The polynomial that meets the tail in the Chebyshev nodes of [begin, begin +
// width), which keeps the largest error small. Powers of x - begin.
void Interpolate(double begin, double width, double powers[kDegree + 1]) {
  double nodes[kDegree + 1];
  double slopes[kDegree + 1];  // divided differences
  for (int i = 0; i <= kDegree; ++i) {
    nodes[i] =
        width / 2 * (1 + std::cos(M_PI * (2 * i + 1) / (2 * (kDegree + 1))));
    slopes[i] = Tail(begin + nodes[i]);
  }
  for (int order = 1; order <= kDegree; ++order) {
    for (int i = kDegree; i >= order; --i) {
      slopes[i] = (slopes[i] - slopes[i - 1]) / (nodes[i] - nodes[i - order]);
    }
  }
  // From Newton's form to powers: multiply by (x - node), add the slope.
  for (int i = 0; i <= kDegree; ++i) powers[i] = 0.0;
  for (int k = kDegree; k >= 0; --k) {
    for (int i = kDegree; i > 0; --i) {
      powers[i] = powers[i - 1] - nodes[k] * powers[i];
    }
    powers[0] = slopes[k] - nodes[k] * powers[0];
  }
}

NormalTail Compute() {
  NormalTail tail;
  for (int i = 0; i < NormalTail::kNumIntervals; ++i) {
    constexpr double kWidth = 1.0 / NormalTail::kIntervalsPerUnit;
    double powers[kDegree + 1];
    Interpolate(i * kWidth, kWidth, powers);
    for (int power = 0; power <= kDegree; ++power) {
      tail.coefficients[power][i] = static_cast<float>(powers[power]);
    }
  }
  return tail;
}

}  // namespace

const NormalTail& NormalTail::Get() {
  static const NormalTail tail = Compute();
  return tail;
}

}  // namespace blockserve::cpu::amx
