// Rows of one sequence that a CTA works on, and the keys that they see.
// Included by .cu files.
#ifndef BLOCKSERVE_KERNELS_CUDA_ROW_TILE_H_
#define BLOCKSERVE_KERNELS_CUDA_ROW_TILE_H_

#include <cstdint>

#include "kernels/cuda/compat.h"
#include "kernels/cuda/paged_attention.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/sequence_of_row.h"

namespace blockserve::cuda {

inline constexpr int kRowsPerWarp = 16;
inline constexpr int kRowTileWarps = 4;
inline constexpr int kRowTileThreads = kRowTileWarps * kWarpSize;
inline constexpr int kRowsPerTile = kRowTileWarps * kRowsPerWarp;

// The host knows how many rows and sequences there are, not how the ones are
// dealt to the others. Sequence s has the tiles from
// offsets[s] / kRowsPerTile + s on: enough for its rows, some of them without
// any.
inline int MaxRowTiles(const PagedAttentionProblem& problem) {
  return problem.num_rows / kRowsPerTile + problem.num_sequences;
}

struct RowTile {
  int sequence;
  int row_begin;  // rows [row_begin, row_end), possibly none
  int row_end;
  int key_begin;  // keys that any row sees are in [key_begin, key_end)
  int key_end;
  bool has_gaps;  // not all of these are seen

  // Called by all threads of a CTA; without rows by none further on.
  //   key_ranges: [2 * kRowsPerTile] in shared memory
  __device__ RowTile(const PagedAttentionProblem& problem, int index,
                     int* key_ranges)
      : key_ranges_(key_ranges) {
    const int32_t* const offsets = problem.query_offsets;
    const auto first_tile = [&](int s) {
      return offsets[s] / kRowsPerTile + s;
    };
    sequence = LastAtOrBefore(problem.num_sequences, index, first_tile);
    row_begin =
        offsets[sequence] + (index - first_tile(sequence)) * kRowsPerTile;
    const int rows_end = offsets[sequence + 1];
    row_end = row_begin + kRowsPerTile < rows_end ? row_begin + kRowsPerTile
                                                  : rows_end;
    if (row_begin < row_end) FindKeys(problem);
  }

  // Whether any row sees the key, which is in [key_begin, key_end).
  __device__ bool IsSeen(int key) const {
    if (!has_gaps) return true;
    for (int i = 0; i < row_end - row_begin; ++i) {
      if (key >= key_ranges_[2 * i] && key < key_ranges_[2 * i + 1])
        return true;
    }
    return false;
  }

 private:
  __device__ void FindKeys(const PagedAttentionProblem& problem) {
    const int thread = static_cast<int>(threadIdx.x);
    const int num_rows = row_end - row_begin;
    if (thread < num_rows) {
      key_ranges_[2 * thread] = problem.key_begin[row_begin + thread];
      key_ranges_[2 * thread + 1] = problem.key_end[row_begin + thread];
    }
    __syncthreads();
    // Each thread goes through all of them: they are few.
    key_begin = 0x7fffffff;
    key_end = 0;
    has_gaps = false;
    for (int i = 0; i < num_rows; ++i) {
      const int begin = key_ranges_[2 * i];
      const int end = key_ranges_[2 * i + 1];
      if (begin >= end) continue;
      // A range that touches what is there leaves no gap.
      has_gaps =
          has_gaps || (key_end > 0 && (begin > key_end || end < key_begin));
      key_begin = begin < key_begin ? begin : key_begin;
      key_end = end > key_end ? end : key_end;
    }
    if (key_end == 0) key_begin = 0;
  }

  int* key_ranges_;
};

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_ROW_TILE_H_
