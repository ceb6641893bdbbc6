// Which part of what belongs to which rank: pure functions of (extent, rank,
// size), the same on every rank.
#ifndef BLOCKSERVE_PARALLEL_API_SHARD_H_
#define BLOCKSERVE_PARALLEL_API_SHARD_H_

#include <cstdint>

namespace blockserve {

// Half open.
struct ShardRange {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const { return end - begin; }
  friend bool operator==(const ShardRange& a, const ShardRange& b) {
    return a.begin == b.begin && a.end == b.end;
  }
};

// Deals `count` things in order to `size` ranks: contiguous, disjoint,
// complete, of equal sizes but for one, the first ranks having the more.
ShardRange Deal(int64_t count, int rank, int size);

// The rows of a batch that `rank` decodes by itself.
inline ShardRange RowsOf(int64_t num_rows, int rank, int size) {
  return Deal(num_rows, rank, size);
}

// The attention heads of `rank`: whole heads, so that a head's queries, keys
// and values stay together. Some ranks have none if there are fewer than ranks.
inline ShardRange HeadsOf(int64_t num_heads, int rank, int size) {
  return Deal(num_heads, rank, size);
}

// The columns of the FFN's inner layer of `rank`, in multiples of what matrix
// units multiply at once where the extent has enough of them. `ffn_dim` must be
// at least `size`; then every rank has some.
ShardRange FfnColumnsOf(int64_t ffn_dim, int rank, int size);

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_API_SHARD_H_
