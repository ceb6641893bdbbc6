// The words that device code is written in, for both of its compilers: nvcc,
// and g++ with threads emulated on the host (kernels/cuda_host). A .cu includes
// this before anything else and uses of CUDA C++ only what stands here, in the
// emulator's device_code.h and in NVIDIA's headers; no <<<>>>, no __shared__,
// no asm elsewhere.
//
// Each function over PTX is one instruction; the section of the PTX ISA that
// says what it does is beside it.
#ifndef BLOCKSERVE_KERNELS_CUDA_COMPAT_H_
#define BLOCKSERVE_KERNELS_CUDA_COMPAT_H_

#if !defined(__CUDACC__)

#include "kernels/cuda_host/device_code.h"

#else

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

// Shared memory of the CTA: an array of fixed size, or the launch's dynamic
// memory, of which a kernel has one.
#define SHARED_ARRAY(T, name, count) __shared__ T name[count]
#define DYNAMIC_SHARED(T, name)                               \
  extern __shared__ __align__(16) unsigned char name##_raw[]; \
  T* const name = reinterpret_cast<T*>(name##_raw)

// Before a loop of which nothing may be left: arrays that it indexes are
// registers only then.
#define UNROLLED _Pragma("unroll")

namespace blockserve::cuda {

// cp.async.cg.shared.global, 16 bytes, both aligned to 16 (PTX ISA,
// "cp.async").
__device__ __forceinline__ void CopyAsync16(void* shared, const void* global) {
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;\n" ::"r"(address),
               "l"(global)
               : "memory");
}
// cp.async.commit_group
__device__ __forceinline__ void CommitCopies() {
  asm volatile("cp.async.commit_group;\n" ::: "memory");
}
// cp.async.wait_group: all but the newest kNumGroups have arrived, for the
// thread that copied; others need a barrier behind it.
template <int kNumGroups>
__device__ __forceinline__ void AwaitCopies() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kNumGroups) : "memory");
}

// d = a b + c of one warp (PTX ISA, "mma.m16n8k16", bf16).
__device__ __forceinline__ void MmaBFloat16(float (&d)[4],
                                            const uint32_t (&a)[4],
                                            const uint32_t (&b)[2],
                                            const float (&c)[4]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};\n"
      : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]),
        "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
}

// Four matrices of 8 x 8 elements of 16 bits; lane 8j + i names row i of the
// j-th (PTX ISA, "ldmatrix").
template <bool kTransposed>
__device__ __forceinline__ void LoadMatrices(uint32_t (&fragments)[4],
                                             const void* shared_row) {
  const auto address =
      static_cast<unsigned>(__cvta_generic_to_shared(shared_row));
  if constexpr (kTransposed) {
    asm volatile(
        "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, "
        "[%4];\n"
        : "=r"(fragments[0]), "=r"(fragments[1]), "=r"(fragments[2]),
          "=r"(fragments[3])
        : "r"(address)
        : "memory");
  } else {
    asm volatile(
        "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
        : "=r"(fragments[0]), "=r"(fragments[1]), "=r"(fragments[2]),
          "=r"(fragments[3])
        : "r"(address)
        : "memory");
  }
}

// atom.acq_rel.gpu.global.add.s32 (PTX ISA, "atom"): returns what was there.
// What CTAs wrote before they added is visible to those that add later.
__device__ __forceinline__ int AtomicAddAcqRel(int* address, int value) {
  int before;
  asm volatile("atom.acq_rel.gpu.global.add.s32 %0, [%1], %2;\n"
               : "=r"(before)
               : "l"(address), "r"(value)
               : "memory");
  return before;
}

struct LaunchConfig {
  const char* name = "";  // of the kernel, for whoever counts them
  dim3 grid;
  dim3 cta;
  size_t dynamic_shared_bytes = 0;
  cudaStream_t stream = nullptr;
  bool is_cooperative = false;  // CTAs wait for each other
};

// Enqueues the kernel; arguments are converted and copied now.
template <typename... Parameters, typename... Arguments>
cudaError_t LaunchKernel(void (*kernel)(Parameters...),
                         const LaunchConfig& config, Arguments&&... arguments) {
  cudaLaunchConfig_t launch = {};
  launch.gridDim = config.grid;
  launch.blockDim = config.cta;
  launch.dynamicSmemBytes = config.dynamic_shared_bytes;
  launch.stream = config.stream;
  cudaLaunchAttribute cooperative = {};
  cooperative.id = cudaLaunchAttributeCooperative;
  cooperative.val.cooperative = 1;
  launch.attrs = &cooperative;
  launch.numAttrs = config.is_cooperative ? 1 : 0;
  return cudaLaunchKernelEx(&launch, kernel,
                            static_cast<Parameters>(arguments)...);
}

}  // namespace blockserve::cuda

#endif  // __CUDACC__

#endif  // BLOCKSERVE_KERNELS_CUDA_COMPAT_H_
