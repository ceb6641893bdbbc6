#include "parallel/nccl/row_moves.h"

#include "parallel/api/shard.h"

namespace blockserve {

RowMove MoveOf(int64_t num_rows, size_t row_length, int rank, int size) {
  const ShardRange rows = RowsOf(num_rows, rank, size);
  return {.owner = rank,
          .offset = static_cast<size_t>(rows.begin) * row_length,
          .count = static_cast<size_t>(rows.size()) * row_length};
}

void ForEachOwner(int64_t num_rows, size_t row_length, int size,
                  absl::FunctionRef<void(const RowMove&)> move) {
  for (int rank = 0; rank < size; ++rank) {
    const RowMove own = MoveOf(num_rows, row_length, rank, size);
    if (own.count > 0) move(own);
  }
}

}  // namespace blockserve
