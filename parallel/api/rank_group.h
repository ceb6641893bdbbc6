// A rank's place in its group.
#ifndef BLOCKSERVE_PARALLEL_API_RANK_GROUP_H_
#define BLOCKSERVE_PARALLEL_API_RANK_GROUP_H_

#include "absl/status/status.h"
#include "parallel/api/communicator.h"
#include "parallel/api/shard.h"

namespace blockserve {

// Far beyond what a block decoder has heads for.
inline constexpr int kMaxRanks = 1024;

// Shared by all parts of a model; must outlive it. When the group forms
// anew, its owner puts the communicator of the new epoch here, between steps.
// Weights and caches stay, since rank and size do.
struct RankGroup {
  int rank = 0;
  int size = 1;
  Communicator* communicator = nullptr;  // of the present epoch; null: none yet

  bool leads() const { return rank == 0; }
  bool is_alone() const { return size == 1; }
  ShardRange RowsOf(int64_t num_rows) const {
    return blockserve::RowsOf(num_rows, rank, size);
  }
  ShardRange HeadsOf(int64_t num_heads) const {
    return blockserve::HeadsOf(num_heads, rank, size);
  }
  ShardRange FfnColumnsOf(int64_t ffn_dim) const {
    return blockserve::FfnColumnsOf(ffn_dim, rank, size);
  }
};

// Waits for the collectives enqueued so far. OK for a rank alone.
inline absl::Status SynchronizeGroup(const RankGroup& group) {
  return group.communicator == nullptr ? absl::OkStatus()
                                       : group.communicator->Synchronize();
}

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_API_RANK_GROUP_H_
