// Which rows of which arrays NCCL is asked to move, and to or from whom.
#ifndef BLOCKSERVE_PARALLEL_NCCL_ROW_MOVES_H_
#define BLOCKSERVE_PARALLEL_NCCL_ROW_MOVES_H_

#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"

namespace blockserve {

// NCCL's own scatters and gathers deal rows to ranks evenly, and lay them as
// RowsOf does only then.
inline bool RowsDivide(int64_t num_rows, int size) {
  return num_rows % size == 0;
}

// The rows of one rank in one array, in units of what a row is counted in.
struct RowMove {
  int owner = 0;
  size_t offset = 0;
  size_t count = 0;

  friend bool operator==(const RowMove& a, const RowMove& b) {
    return a.owner == b.owner && a.offset == b.offset && a.count == b.count;
  }
};

// The rows of `rank`.
RowMove MoveOf(int64_t num_rows, size_t row_length, int rank, int size);
// Calls `move` for every rank that has rows, in rank order: the same on every
// rank, as grouped collectives must be.
void ForEachOwner(int64_t num_rows, size_t row_length, int size,
                  absl::FunctionRef<void(const RowMove&)> move);

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_NCCL_ROW_MOVES_H_
