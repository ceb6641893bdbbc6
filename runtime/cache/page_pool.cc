#include "runtime/cache/page_pool.h"

#include <glog/logging.h>

namespace blockserve {

PagePool::PagePool(int num_pages)
    : num_pages_(num_pages), is_used_(num_pages, false) {
  CHECK_GE(num_pages, 0);
  free_.reserve(num_pages);
  for (int page = num_pages - 1; page >= 0; --page) free_.push_back(page);
}

bool PagePool::Allocate(int count, std::vector<int32_t>& pages) {
  CHECK_GE(count, 0);
  if (count > num_free()) return false;
  for (int i = 0; i < count; ++i) {
    const int32_t page = free_.back();
    free_.pop_back();
    is_used_[page] = true;
    pages.push_back(page);
  }
  return true;
}

void PagePool::Free(absl::Span<const int32_t> pages) {
  for (int32_t page : pages) {
    CHECK(page >= 0 && page < num_pages_)
        << "page " << page << " is not one of " << num_pages_;
    CHECK(is_used_[page]) << "page " << page << " freed twice";
    is_used_[page] = false;
    free_.push_back(page);
  }
}

}  // namespace blockserve
