#include "runtime/worker/kv_cache_plan.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "kernels/api/ops.h"

namespace blockserve {
namespace {

int DivideUp(int64_t value, int64_t divisor) {
  return static_cast<int>((value + divisor - 1) / divisor);
}

}  // namespace

int KvCacheNeeds::MaxUnits() const {
  return DivideUp(max_context_tokens, tokens_per_unit) + 1;
}

int KvCacheNeeds::PagesFor(int num_tokens) const {
  return DivideUp(DivideUp(num_tokens, tokens_per_unit) + 1, kPageLength);
}

absl::StatusOr<KvCachePlan> PlanKvCache(const KvCacheNeeds& needs,
                                        std::optional<int64_t> requested_bytes,
                                        int64_t available_bytes) {
  const int64_t pages_of_one = needs.PagesFor(needs.max_context_tokens);
  const int64_t pages_of_all = std::min<int64_t>(
      pages_of_one * needs.max_sequences, std::numeric_limits<int>::max());
  const int64_t bytes = requested_bytes.value_or(available_bytes);
  const int64_t num_pages =
      std::min(pages_of_all, bytes / needs.bytes_per_page);
  if (num_pages < pages_of_one) {
    return absl::InvalidArgumentError(
        absl::StrCat("the KV cache must hold at least one sequence of ",
                     needs.max_context_tokens, " tokens, which takes ",
                     pages_of_one * needs.bytes_per_page, " bytes, but ",
                     requested_bytes.has_value() ? "--kv_cache_bytes gives "
                                                 : "memory has room for ",
                     bytes, "; lower --max_context or give more"));
  }
  return KvCachePlan{static_cast<int>(num_pages),
                     num_pages * needs.bytes_per_page};
}

}  // namespace blockserve
