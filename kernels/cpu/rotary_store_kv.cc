#include "kernels/cpu/rotary_store_kv.h"

#include <glog/logging.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/kv_page.h"
#include "kernels/cpu/parallel_for.h"

// clang-format off
#include "kernels/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rotary_store_kv.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// clang-format on
#include "kernels/cpu/rotary-inl.h"

HWY_BEFORE_NAMESPACE();
namespace blockserve::cpu {
namespace HWY_NAMESPACE {

// Writes one position of one head into its head page.
template <typename T>
void StoreHead(const T* key, const T* value, int head_dim, int position,
               const KvPage<T>& layout, T* head_page) {
  // Neighbouring dimensions of a position lie `stride` apart.
  T* keys = head_page + layout.Key(position, 0);
  constexpr int kKeyStride = kPageLength * kPair<T>;
  for (int dim = 0; dim < head_dim; ++dim) {
    keys[dim / kPair<T> * kKeyStride + dim % kPair<T>] = key[dim];
  }
  T* values = head_page + layout.Value(position, 0);
  for (int dim = 0; dim < head_dim; ++dim) {
    values[dim * kPair<T>] = value[dim];
  }
}

template <typename T>
void StoreRow(const RotaryStoreKvArgs& args, int64_t row) {
  const KvLayer& cache = args.cache;
  const int64_t head_dim = cache.head_dim;
  const KvPage<T> layout(cache.num_heads, cache.head_dim);
  const int64_t slot = args.slots.as<int32_t>()[row];
  CHECK(slot >= -1 && slot / kPageLength < cache.num_pages) << "slot " << slot;

  const float* cosines = nullptr;
  size_t half = 0;
  if (!args.rotary.empty()) {
    const int32_t position = args.positions.as<int32_t>()[row];
    CHECK(position >= 0 && position < args.rotary.dim(0))
        << "position " << position;
    cosines = args.rotary.as<float>() + position * args.rotary.dim(1);
    half = args.rotary.dim(1) / 2;
  }
  T* query = args.qkv.as<T>() + row * cache.num_heads * 3 * head_dim;
  for (int head = 0; head < cache.num_heads; ++head, query += 3 * head_dim) {
    T* key = query + head_dim;
    Rotate(cosines, half, query);
    if (slot < 0) continue;
    Rotate(cosines, half, key);
    StoreHead(key, key + head_dim, cache.head_dim,
              static_cast<int>(slot % kPageLength), layout,
              static_cast<T*>(cache.data) +
                  layout.HeadPage(slot / kPageLength, head));
  }
}

void StoreRowFp32(const RotaryStoreKvArgs& args, int64_t row) {
  StoreRow<float>(args, row);
}

void StoreRowBf16(const RotaryStoreKvArgs& args, int64_t row) {
  StoreRow<BFloat16>(args, row);
}

}  // namespace HWY_NAMESPACE
}  // namespace blockserve::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace blockserve::cpu {

HWY_EXPORT(StoreRowFp32);
HWY_EXPORT(StoreRowBf16);

template <typename T>
void RotaryStoreKv(const RotaryStoreKvArgs& args, int num_threads) {
  const auto store_row = DTypeOf<T>() == DType::kFloat32
                             ? HWY_DYNAMIC_DISPATCH(StoreRowFp32)
                             : HWY_DYNAMIC_DISPATCH(StoreRowBf16);
  const int64_t work = int64_t{3} * args.cache.num_heads * args.cache.head_dim;
  ParallelFor(num_threads, args.qkv.dim(0), work,
              [&](int64_t begin, int64_t end) {
                for (int64_t row = begin; row < end; ++row) {
                  store_row(args, row);
                }
              });
}

template void RotaryStoreKv<float>(const RotaryStoreKvArgs&, int);
template void RotaryStoreKv<BFloat16>(const RotaryStoreKvArgs&, int);

}  // namespace blockserve::cpu
#endif  // HWY_ONCE
