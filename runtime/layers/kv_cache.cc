#include "runtime/layers/kv_cache.h"

#include <utility>

#include "runtime/base/status_macros.h"

namespace blockserve {

absl::StatusOr<PagedKvCache> PagedKvCache::Create(int num_layers, int num_heads,
                                                  int head_dim, int num_pages,
                                                  Ops& ops) {
  PagedKvCache cache;
  cache.num_heads_ = num_heads;
  cache.head_dim_ = head_dim;
  cache.num_pages_ = num_pages;
  // A rank of a group may have no heads.
  if (num_heads == 0) return cache;
  const size_t layer_bytes =
      static_cast<size_t>(num_pages) * ops.KvPageBytes(num_heads, head_dim);
  for (int layer = 0; layer < num_layers; ++layer) {
    ASSIGN_OR_RETURN(Buffer buffer, ops.Allocate(layer_bytes));
    cache.layers_.push_back(std::move(buffer));
  }
  return cache;
}

KvLayer PagedKvCache::layer(int i) const {
  return {.data = layers_[i].data(),
          .num_pages = num_pages_,
          .num_heads = num_heads_,
          .head_dim = head_dim_};
}

}  // namespace blockserve
