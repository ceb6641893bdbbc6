// A table of the normal distribution's tail, Phi(-x) for x >= 0: cubic
// polynomials over 32 intervals, two registers of fp32 a coefficient.
#ifndef BLOCKSERVE_KERNELS_CPU_AMX_NORMAL_TAIL_H_
#define BLOCKSERVE_KERNELS_CPU_AMX_NORMAL_TAIL_H_

namespace blockserve::cpu::amx {

struct NormalTail {
  static constexpr int kNumIntervals = 32;
  static constexpr float kIntervalsPerUnit = 6.0f;
  static constexpr float kWidth = 1.0f / kIntervalsPerUnit;
  // Just inside the last interval. Phi(-kEnd) is 5e-8.
  static constexpr float kEnd = 5.33f;

  static const NormalTail& Get();

  // In interval i the tail is the sum of coefficients[p][i] t^p, where t is the
  // distance from the interval's begin.
  alignas(64) float coefficients[4][kNumIntervals];
};

}  // namespace blockserve::cpu::amx

#endif  // BLOCKSERVE_KERNELS_CPU_AMX_NORMAL_TAIL_H_
