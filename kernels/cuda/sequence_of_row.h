// Whose row it is. Included by .cu files.
#ifndef BLOCKSERVE_KERNELS_CUDA_SEQUENCE_OF_ROW_H_
#define BLOCKSERVE_KERNELS_CUDA_SEQUENCE_OF_ROW_H_

#include <cstdint>

#include "kernels/cuda/compat.h"

namespace blockserve::cuda {

// The last s in [0, num_sequences) with position(s) <= `wanted`: `position`
// does not fall, and position(0) <= wanted.
template <typename Position>
__device__ int LastAtOrBefore(int num_sequences, int wanted,
                              const Position& position) {
  int low = 0;
  int high = num_sequences;  // position(high) > wanted, if there were one
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (position(middle) <= wanted) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

// The sequence s with offsets[s] <= row < offsets[s + 1].
__device__ inline int SequenceOf(const int32_t* offsets, int num_sequences,
                                 int row) {
  return LastAtOrBefore(num_sequences, row, [&](int s) { return offsets[s]; });
}

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_SEQUENCE_OF_ROW_H_
