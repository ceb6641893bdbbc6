// Layer norm and RMS norm of the CPU backend: fp32 in, two passes over a row
// that stays in the first-level cache.
#ifndef BLOCKSERVE_KERNELS_CPU_NORM_H_
#define BLOCKSERVE_KERNELS_CPU_NORM_H_

#include "kernels/api/ops.h"

namespace blockserve::cpu {

// T: float or BFloat16.
template <typename T>
void LayerNorm(const LayerNormArgs& args, int num_threads);
template <typename T>
void DualLayerNorm(const DualLayerNormArgs& args, int num_threads);
template <typename T>
void RmsNorm(const RmsNormArgs& args, int num_threads);

}  // namespace blockserve::cpu

#endif  // BLOCKSERVE_KERNELS_CPU_NORM_H_
