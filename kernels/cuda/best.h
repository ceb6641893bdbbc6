// The most likely of many ids, the lower one on a tie. Included by .cu files.
#ifndef BLOCKSERVE_KERNELS_CUDA_BEST_H_
#define BLOCKSERVE_KERNELS_CUDA_BEST_H_

#include <cstdint>

#include "kernels/cuda/compat.h"
#include "kernels/cuda/reduce.h"

namespace blockserve::cuda {

struct Best {
  float value = -INFINITY;
  int32_t id = -1;  // -1: none

  __device__ bool exists() const { return id >= 0; }
  // A value of -infinity is never one.
  __device__ void Offer(float other_value, int32_t other_id) {
    if (other_id < 0 || other_value == -INFINITY) return;
    if (id < 0 || other_value > value ||
        (other_value == value && other_id < id)) {
      value = other_value;
      id = other_id;
    }
  }
};

// Over all threads of a CTA, the same in all of them.
__device__ inline Best CtaBest(Best best) {
  SHARED_ARRAY(float, values, kMaxWarps);
  SHARED_ARRAY(int32_t, ids, kMaxWarps);
  for (int offset = kWarpSize / 2; offset > 0; offset /= 2) {
    const float value = __shfl_xor_sync(kAllLanes, best.value, offset);
    const int32_t id = __shfl_xor_sync(kAllLanes, best.id, offset);
    best.Offer(value, id);
  }
  if (WarpsPerCta() == 1) return best;
  __syncthreads();  // of another call
  if (Lane() == 0) {
    values[WarpOfCta()] = best.value;
    ids[WarpOfCta()] = best.id;
  }
  __syncthreads();
  best = Best();
  for (int warp = 0; warp < WarpsPerCta(); ++warp) {
    best.Offer(values[warp], ids[warp]);
  }
  return best;
}

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_BEST_H_
