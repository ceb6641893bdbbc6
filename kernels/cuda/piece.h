// Sixteen bytes of elements, the most that a thread moves at once. Included by
// .cu files.
#ifndef BLOCKSERVE_KERNELS_CUDA_PIECE_H_
#define BLOCKSERVE_KERNELS_CUDA_PIECE_H_

#include <cstdint>

#include "kernels/cuda/compat.h"

namespace blockserve::cuda {

inline constexpr int kPieceBytes = 16;

template <typename T>
inline constexpr int kElementsPerPiece = kPieceBytes /
                                         static_cast<int>(sizeof(T));

// One load instruction: `address` is aligned to 16 bytes.
__device__ __forceinline__ uint4 LoadPiece(const void* address) {
  return *static_cast<const uint4*>(address);
}

__device__ __forceinline__ void PieceToFloats(uint4 piece,
                                              float (&elements)[4]) {
  elements[0] = __uint_as_float(piece.x);
  elements[1] = __uint_as_float(piece.y);
  elements[2] = __uint_as_float(piece.z);
  elements[3] = __uint_as_float(piece.w);
}

// bf16 is the upper half of a float.
__device__ __forceinline__ void PieceToFloats(uint4 piece,
                                              float (&elements)[8]) {
  const uint32_t pairs[4] = {piece.x, piece.y, piece.z, piece.w};
  UNROLLED
  for (int i = 0; i < 4; ++i) {
    elements[2 * i] = __uint_as_float(pairs[i] << 16);
    elements[2 * i + 1] = __uint_as_float(pairs[i] & 0xffff0000u);
  }
}

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_PIECE_H_
