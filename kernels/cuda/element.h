// Elements of tensors in device code: T is float or __nv_bfloat16. Included by
// .cu files, behind compat.h.
#ifndef BLOCKSERVE_KERNELS_CUDA_ELEMENT_H_
#define BLOCKSERVE_KERNELS_CUDA_ELEMENT_H_

#include <cstdint>

#include "kernels/api/dtype.h"
#include "kernels/cuda/compat.h"

namespace blockserve::cuda {

__device__ __forceinline__ float ToFloat(float value) { return value; }
__device__ __forceinline__ float ToFloat(__nv_bfloat16 value) {
  return __bfloat162float(value);
}

// Rounds to nearest, ties to even.
template <typename T>
__device__ __forceinline__ T FromFloat(float value);
template <>
__device__ __forceinline__ float FromFloat<float>(float value) {
  return value;
}
template <>
__device__ __forceinline__ __nv_bfloat16 FromFloat<__nv_bfloat16>(float value) {
  return __float2bfloat16_rn(value);
}

// Calls `launch` with a value of the element type that `dtype` names.
template <typename Launch>
cudaError_t WithElement(DType dtype, const Launch& launch) {
  switch (dtype) {
    case DType::kFloat32:
      return launch(float());
    case DType::kBFloat16:
      return launch(__nv_bfloat16());
    default:
      return cudaErrorInvalidValue;
  }
}

// Threads for `work` items: whole warps, up to `max`.
inline unsigned ThreadsFor(int64_t work, unsigned max) {
  const int64_t warps = (work + 31) / 32;
  return static_cast<unsigned>(warps < 1          ? 32
                               : warps * 32 < max ? warps * 32
                                                  : max);
}

// CTAs so that each thread has one of `work` items.
inline unsigned CtasFor(int64_t work, unsigned threads) {
  return static_cast<unsigned>((work + threads - 1) / threads);
}

__device__ __forceinline__ int64_t GlobalThread() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_ELEMENT_H_
