// CUDA C++ as the kernels use it, for g++: what kernels/cuda/compat.h is in the
// build that runs on the host. Types and conversions are those of NVIDIA's own
// headers; what they leave to nvcc stands here.
//
// Included by kernel sources only.
#ifndef BLOCKSERVE_KERNELS_CUDA_HOST_DEVICE_CODE_H_
#define BLOCKSERVE_KERNELS_CUDA_HOST_DEVICE_CODE_H_

// Before the macros below: these headers have parameters named gridDim.
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#undef __constant__
#undef __device__
#undef __forceinline__
#undef __global__
#undef __host__
#undef __launch_bounds__
#undef __noinline__
#undef __shared__
#define __constant__
#define __device__
#define __forceinline__ inline
#define __global__
#define __host__
#define __launch_bounds__(...)
#define __shared__ static_assert(false, "use SHARED_ARRAY or DYNAMIC_SHARED");

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/cuda_host/cta.h"
#include "kernels/cuda_host/launch.h"

namespace blockserve::cuda_host {

// Values of up to 8 bytes travel between lanes as integers.
template <typename T>
uint64_t ToBits(T value) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  static_assert(std::is_trivially_copyable_v<T>);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  return bits;
}
template <typename T>
T FromBits(uint64_t bits) {
  T value;
  std::memcpy(static_cast<void*>(&value), &bits, sizeof(T));
  return value;
}

inline uint64_t Barrier(BarrierKind kind, int value) {
  return current_thread->cta->AwaitBarrier(kind,
                                           static_cast<uint64_t>(value != 0));
}
template <typename T>
T Warp(WarpOp op, unsigned mask, T value, int argument, int width) {
  return FromBits<T>(
      current_thread->cta->AwaitWarp(op, mask, ToBits(value), argument, width));
}

}  // namespace blockserve::cuda_host

// --- indices ----------------------------------------------------------------
#define threadIdx (::blockserve::cuda_host::current_thread->index)
#define blockIdx (::blockserve::cuda_host::current_thread->cta->index())
#define blockDim \
  (::blockserve::cuda_host::current_thread->cta->grid().cta_extents)
#define gridDim \
  (::blockserve::cuda_host::current_thread->cta->grid().grid_extents)

// --- shared memory ----------------------------------------------------------
// One array for each instance of the function that it stands in.
#define SHARED_ARRAY(T, name, count)                                        \
  static const char name##_key = 0;                                         \
  T(&name)                                                                  \
  [count] = *static_cast<T(*)[count]>(                                      \
      ::blockserve::cuda_host::current_thread->cta->shared_memory().Static( \
          &name##_key, sizeof(T) * (count)))
#define DYNAMIC_SHARED(T, name)    \
  T* const name = static_cast<T*>( \
      ::blockserve::cuda_host::current_thread->cta->shared_memory().dynamic())

#define UNROLLED

// --- barriers and warps -----------------------------------------------------
inline void __syncthreads() {
  blockserve::cuda_host::Barrier(blockserve::cuda_host::BarrierKind::kPlain, 0);
}
inline int __syncthreads_or(int predicate) {
  return static_cast<int>(blockserve::cuda_host::Barrier(
      blockserve::cuda_host::BarrierKind::kOr, predicate));
}
inline int __syncthreads_and(int predicate) {
  return static_cast<int>(blockserve::cuda_host::Barrier(
      blockserve::cuda_host::BarrierKind::kAnd, predicate));
}
inline int __syncthreads_count(int predicate) {
  return static_cast<int>(blockserve::cuda_host::Barrier(
      blockserve::cuda_host::BarrierKind::kCount, predicate));
}
inline void __syncwarp(unsigned mask = 0xffffffffu) {
  blockserve::cuda_host::Warp(blockserve::cuda_host::WarpOp::kSync, mask, 0, 0,
                              32);
}
template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  return blockserve::cuda_host::Warp(blockserve::cuda_host::WarpOp::kShuffle,
                                     mask, value, source, width);
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  return blockserve::cuda_host::Warp(blockserve::cuda_host::WarpOp::kShuffleUp,
                                     mask, value, static_cast<int>(delta),
                                     width);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  return blockserve::cuda_host::Warp(
      blockserve::cuda_host::WarpOp::kShuffleDown, mask, value,
      static_cast<int>(delta), width);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32) {
  return blockserve::cuda_host::Warp(blockserve::cuda_host::WarpOp::kShuffleXor,
                                     mask, value, lane_mask, width);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return blockserve::cuda_host::Warp<unsigned>(
      blockserve::cuda_host::WarpOp::kBallot, mask, predicate != 0 ? 1u : 0u, 0,
      32);
}
inline unsigned __reduce_add_sync(unsigned mask, unsigned value) {
  return blockserve::cuda_host::Warp(blockserve::cuda_host::WarpOp::kReduceAdd,
                                     mask, value, 0, 32);
}
inline unsigned __reduce_max_sync(unsigned mask, unsigned value) {
  return blockserve::cuda_host::Warp(blockserve::cuda_host::WarpOp::kReduceMax,
                                     mask, value, 0, 32);
}

// --- memory -----------------------------------------------------------------
inline int atomicAdd(int* address, int value) {
  return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}
inline unsigned atomicAdd(unsigned* address, unsigned value) {
  return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}
inline unsigned long long atomicAdd(unsigned long long* address,
                                    unsigned long long value) {
  return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

// --- arithmetic -------------------------------------------------------------
inline unsigned __float_as_uint(float value) {
  return std::bit_cast<unsigned>(value);
}
inline float __uint_as_float(unsigned value) {
  return std::bit_cast<float>(value);
}
inline float __fmul_rn(float a, float b) { return a * b; }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((uint64_t{a} * b) >> 32);
}
inline int __popc(unsigned value) { return std::popcount(value); }
inline int __ffs(int value) { return __builtin_ffs(value); }
inline float rsqrtf(float value) { return 1.0f / std::sqrt(value); }

namespace blockserve::cuda {

// --- PTX, as kernels/cuda/compat.h names it ---------------------------------
inline void CopyAsync16(void* shared, const void* global) {
  cuda_host::current_thread->copies.Issue(shared, global);
}
inline void CommitCopies() { cuda_host::current_thread->copies.Commit(); }
template <int kNumGroups>
void AwaitCopies() {
  cuda_host::current_thread->copies.Wait(kNumGroups);
}
inline int AtomicAddAcqRel(int* address, int value) {
  return __atomic_fetch_add(address, value, __ATOMIC_ACQ_REL);
}
inline void MmaBFloat16(float (&d)[4], const uint32_t (&a)[4],
                        const uint32_t (&b)[2], const float (&c)[4]) {
  cuda_host::MmaOperands operands;
  std::memcpy(operands.a, a, sizeof(a));
  std::memcpy(operands.b, b, sizeof(b));
  std::memcpy(operands.c, c, sizeof(c));
  cuda_host::Warp(cuda_host::WarpOp::kMmaBFloat16, 0xffffffffu, &operands, 0,
                  32);
  std::memcpy(d, operands.d, sizeof(d));
}
template <bool kTransposed>
void LoadMatrices(uint32_t (&fragments)[4], const void* shared_row) {
  cuda_host::MatrixRow row{shared_row, {}};
  cuda_host::Warp(kTransposed ? cuda_host::WarpOp::kLoadMatrixTransposed
                              : cuda_host::WarpOp::kLoadMatrix,
                  0xffffffffu, &row, 0, 32);
  std::memcpy(fragments, row.fragments, sizeof(fragments));
}

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_HOST_DEVICE_CODE_H_
