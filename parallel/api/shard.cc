#include "parallel/api/shard.h"

#include <algorithm>

namespace blockserve {
namespace {

// A bf16 tile of AMX is 32 columns deep, a vector of AVX-512 16 floats wide.
constexpr int64_t kFfnGranule = 32;

}  // namespace

ShardRange Deal(int64_t count, int rank, int size) {
  const int64_t share = count / size;
  const int64_t rest = count % size;
  const auto begin_of = [&](int64_t r) {
    return r * share + std::min(r, rest);
  };
  return {begin_of(rank), begin_of(rank + 1)};
}

ShardRange FfnColumnsOf(int64_t ffn_dim, int rank, int size) {
  const int64_t granule =
      ffn_dim % kFfnGranule == 0 && ffn_dim / kFfnGranule >= size ? kFfnGranule
                                                                  : 1;
  const ShardRange granules = Deal(ffn_dim / granule, rank, size);
  return {granules.begin * granule, granules.end * granule};
}

}  // namespace blockserve
