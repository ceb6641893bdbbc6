#include "kernels/reference/paged_attention.h"

#include <glog/logging.h>

#include <algorithm>
#include <cstdint>

#include "kernels/api/ops.h"
#include "kernels/reference/rotary.h"
#include "kernels/reference/softmax_sum.h"

namespace blockserve::reference {
namespace {

// Where the key of `head` at `slot` lies; its value is ValueOf it.
template <typename T>
T* KeyAt(const KvLayer& cache, int64_t slot, int64_t head) {
  const int64_t page = slot / kPageLength;
  CHECK(slot >= 0 && page < cache.num_pages) << "slot " << slot;
  const int64_t first = (page * 2 * cache.num_heads + head) * kPageLength;
  return static_cast<T*>(cache.data) +
         (first + slot % kPageLength) * cache.head_dim;
}

template <typename T>
T* ValueOf(const KvLayer& cache, T* key) {
  return key +
         static_cast<int64_t>(cache.num_heads) * kPageLength * cache.head_dim;
}

}  // namespace

template <typename T>
void RotaryStoreKv(const RotaryStoreKvArgs& args) {
  const KvLayer& cache = args.cache;
  const int64_t head_dim = cache.head_dim;
  for (int64_t row = 0; row < args.qkv.dim(0); ++row) {
    const int64_t slot = args.slots.as<int32_t>()[row];
    for (int64_t head = 0; head < cache.num_heads; ++head) {
      T* query =
          args.qkv.as<T>() + (row * cache.num_heads + head) * 3 * head_dim;
      T* key = query + head_dim;
      Rotate(args.rotary, args.positions, row, query);
      Rotate(args.rotary, args.positions, row, key);
      if (slot == -1) continue;
      T* cached_key = KeyAt<T>(cache, slot, head);
      std::copy_n(key, head_dim, cached_key);
      std::copy_n(key + head_dim, head_dim, ValueOf(cache, cached_key));
    }
  }
}

template <typename T>
void PagedAttention(const PagedAttentionArgs& args) {
  const KvLayer& cache = args.cache;
  const int64_t head_dim = cache.head_dim;
  const int64_t max_pages = args.page_table.dim(1);
  const int64_t num_sequences = args.page_table.dim(0);
  const int32_t* offsets = args.query_offsets.as<int32_t>();
  CHECK_EQ(offsets[0], 0);
  CHECK_EQ(offsets[num_sequences], args.qkv.dim(0));
  for (int64_t sequence = 0; sequence < num_sequences; ++sequence) {
    const int32_t* pages = args.page_table.as<int32_t>() + sequence * max_pages;
    for (int64_t row = offsets[sequence]; row < offsets[sequence + 1]; ++row) {
      const int64_t key_begin = args.key_begin.as<int32_t>()[row];
      const int64_t key_end = args.key_end.as<int32_t>()[row];
      if (key_begin < key_end) {
        CHECK(key_begin >= 0 && key_end <= max_pages * kPageLength)
            << "keys [" << key_begin << ", " << key_end << ")";
      }
      for (int64_t head = 0; head < cache.num_heads; ++head) {
        const int64_t i = row * cache.num_heads + head;
        SoftmaxSum<T> sum(args.qkv.as<T>() + i * 3 * head_dim, head_dim,
                          args.scale);
        for (int64_t k = key_begin; k < key_end; ++k) {
          const int64_t slot =
              pages[k / kPageLength] * int64_t{kPageLength} + k % kPageLength;
          const T* key = KeyAt<T>(cache, slot, head);
          sum.Add(key, ValueOf(cache, key));
        }
        sum.Write(args.output.as<T>() + i * head_dim);
      }
    }
  }
}

template void RotaryStoreKv<float>(const RotaryStoreKvArgs& args);
template void RotaryStoreKv<BFloat16>(const RotaryStoreKvArgs& args);
template void PagedAttention<float>(const PagedAttentionArgs& args);
template void PagedAttention<BFloat16>(const PagedAttentionArgs& args);

}  // namespace blockserve::reference
