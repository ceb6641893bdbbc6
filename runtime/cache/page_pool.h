// Who holds which page of the KV cache. Ids only: the memory is the model's.
#ifndef BLOCKSERVE_RUNTIME_CACHE_PAGE_POOL_H_
#define BLOCKSERVE_RUNTIME_CACHE_PAGE_POOL_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace blockserve {

// Hands out the ids [0, num_pages), each to one holder at a time. Constant work
// per page and no allocation after construction. Used by one thread at a time.
class PagePool {
 public:
  explicit PagePool(int num_pages);

  int num_pages() const { return num_pages_; }
  int num_free() const { return static_cast<int>(free_.size()); }
  int num_used() const { return num_pages_ - num_free(); }

  // Appends `count` pages to `pages` and returns true, or returns false and
  // changes nothing if fewer are free.
  bool Allocate(int count, std::vector<int32_t>& pages);

  // Takes pages back. CHECK-fails for a page that is not out.
  void Free(absl::Span<const int32_t> pages);

 private:
  const int num_pages_;
  std::vector<int32_t> free_;  // the last one is handed out next
  std::vector<bool> is_used_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_CACHE_PAGE_POOL_H_
