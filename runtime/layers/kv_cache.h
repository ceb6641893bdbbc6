// Keys and values of the layers of one trunk.
#ifndef BLOCKSERVE_RUNTIME_LAYERS_KV_CACHE_H_
#define BLOCKSERVE_RUNTIME_LAYERS_KV_CACHE_H_

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/api/attention_args.h"
#include "kernels/api/buffer.h"
#include "kernels/api/ops.h"

namespace blockserve {

// Paged, shared by all sequences. Holds memory only: which page belongs to
// whom is the caller's business.
class PagedKvCache {
 public:
  static absl::StatusOr<PagedKvCache> Create(int num_layers, int num_heads,
                                             int head_dim, int num_pages,
                                             Ops& ops);

  KvLayer layer(int i) const;
  int num_pages() const { return num_pages_; }

 private:
  std::vector<Buffer> layers_;
  int num_heads_ = 0;
  int head_dim_ = 0;
  int num_pages_ = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_LAYERS_KV_CACHE_H_
