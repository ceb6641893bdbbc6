// Sums and maxima over the threads of a warp or a CTA. Included by .cu files.
#ifndef BLOCKSERVE_KERNELS_CUDA_REDUCE_H_
#define BLOCKSERVE_KERNELS_CUDA_REDUCE_H_

#include "kernels/cuda/compat.h"

namespace blockserve::cuda {

inline constexpr unsigned kAllLanes = 0xffffffffu;
inline constexpr int kWarpSize = 32;
inline constexpr int kMaxWarps = 32;

__device__ __forceinline__ int Lane() {
  return static_cast<int>(threadIdx.x % kWarpSize);
}
__device__ __forceinline__ int WarpOfCta() {
  return static_cast<int>(threadIdx.x / kWarpSize);
}
__device__ __forceinline__ int WarpsPerCta() {
  return static_cast<int>(blockDim.x / kWarpSize);
}

template <typename T>
__device__ __forceinline__ T WarpSum(T value) {
  for (int offset = kWarpSize / 2; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(kAllLanes, value, offset);
  }
  return value;
}

// NaN is taken for nothing.
__device__ __forceinline__ float WarpMax(float value) {
  for (int offset = kWarpSize / 2; offset > 0; offset /= 2) {
    value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, offset));
  }
  return value;
}

// The sum over a CTA of whole warps, the same in all threads. Its order depends
// on the number of threads alone.
template <typename T>
__device__ __forceinline__ T CtaSum(T value) {
  SHARED_ARRAY(T, sums, kMaxWarps);
  value = WarpSum(value);
  if (WarpsPerCta() == 1) return value;
  __syncthreads();  // somebody may still read the sums of another call
  if (Lane() == 0) sums[WarpOfCta()] = value;
  __syncthreads();
  T sum = sums[0];
  for (int warp = 1; warp < WarpsPerCta(); ++warp) sum += sums[warp];
  return sum;
}

__device__ __forceinline__ float CtaMax(float value) {
  SHARED_ARRAY(float, maxima, kMaxWarps);
  value = WarpMax(value);
  if (WarpsPerCta() == 1) return value;
  __syncthreads();
  if (Lane() == 0) maxima[WarpOfCta()] = value;
  __syncthreads();
  float max = maxima[0];
  for (int warp = 1; warp < WarpsPerCta(); ++warp) {
    max = fmaxf(max, maxima[warp]);
  }
  return max;
}

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_REDUCE_H_
