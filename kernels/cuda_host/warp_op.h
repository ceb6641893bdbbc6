// What the lanes of a warp do together.
#ifndef BLOCKSERVE_KERNELS_CUDA_HOST_WARP_OP_H_
#define BLOCKSERVE_KERNELS_CUDA_HOST_WARP_OP_H_

#include <array>
#include <cstdint>

namespace blockserve::cuda_host {

inline constexpr int kLanes = 32;

enum class WarpOp {
  kSync,
  kShuffle,
  kShuffleUp,
  kShuffleDown,
  kShuffleXor,
  kBallot,
  kReduceAdd,  // of unsigned values
  kReduceMax,
  kReduceMin,
  kMmaBFloat16,          // value: a MmaOperands*
  kLoadMatrix,           // value: a MatrixRow*
  kLoadMatrixTransposed  // the same
};

// One lane's part.
struct LaneRequest {
  WarpOp op = WarpOp::kSync;
  uint32_t mask = 0;
  uint64_t value = 0;
  int argument = 0;  // of a shuffle: source lane, delta or mask
  int width = kLanes;
  uint64_t result = 0;
};

// mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 (PTX ISA, "Matrix
// fragments for mma.m16n8k16"): one lane's registers.
struct MmaOperands {
  uint32_t a[4] = {};
  uint32_t b[2] = {};
  float c[4] = {};
  float d[4] = {};
};

// ldmatrix.sync.aligned.m8n8.x4: the row that a lane names and what it gets.
struct MatrixRow {
  const void* row = nullptr;
  uint32_t fragments[4] = {};
};

// `lanes`: all lanes of one mask, the others null; they ask for the same.
// Fails if a shuffle reads a lane outside of the mask.
void PerformWarpOp(const std::array<LaneRequest*, kLanes>& lanes);

}  // namespace blockserve::cuda_host

#endif  // BLOCKSERVE_KERNELS_CUDA_HOST_WARP_OP_H_
