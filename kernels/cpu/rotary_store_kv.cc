#include "kernels/cpu/rotary_store_kv.h"

#include <glog/logging.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

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

// Writes the positions `position`, which is even, and the one after it: words
// of two numbers instead of single ones. `stride`: between the rows of both.
void StoreHeadTwice(const BFloat16* key, const BFloat16* value, int64_t stride,
                    int head_dim, int position, const KvPage<BFloat16>& layout,
                    BFloat16* head_page) {
  BFloat16* keys = head_page + layout.Key(position, 0);
  for (int dim = 0; dim + 1 < head_dim; dim += 2) {
    std::memcpy(keys, key + dim, 2 * sizeof(BFloat16));
    std::memcpy(keys + 2, key + stride + dim, 2 * sizeof(BFloat16));
    keys += kPageLength * 2;
  }
  if (head_dim % 2 != 0) {
    keys[0] = key[head_dim - 1];
    keys[2] = key[stride + head_dim - 1];
  }
  BFloat16* values = head_page + layout.Value(position, 0);
  const hn::ScalableTag<uint32_t> d32;
  const hn::Rebind<uint16_t, decltype(d32)> d16;
  const auto load = [&](const BFloat16* from) HWY_ATTR {
    return hn::PromoteTo(
        d32, hn::LoadU(d16, reinterpret_cast<const uint16_t*>(from)));
  };
  const auto lanes = static_cast<int>(hn::Lanes(d32));
  int dim = 0;
  for (; dim + lanes <= head_dim; dim += lanes) {
    const auto pairs = hn::Or(load(value + dim),
                              hn::ShiftLeft<16>(load(value + stride + dim)));
    hn::StoreU(pairs, d32, reinterpret_cast<uint32_t*>(values + 2 * dim));
  }
  for (; dim < head_dim; ++dim) {
    values[2 * dim] = value[dim];
    values[2 * dim + 1] = value[stride + dim];
  }
}

template <typename T>
class RotaryStoreKvJob {
 public:
  explicit RotaryStoreKvJob(const RotaryStoreKvArgs& args)
      : args_(args),
        layout_(args.cache.num_heads, args.cache.head_dim),
        head_dim_(args.cache.head_dim),
        row_stride_(int64_t{3} * args.cache.num_heads * head_dim_),
        slots_(args.slots.as<int32_t>()) {}

  void StoreRows(int64_t begin, int64_t end) const {
    for (int64_t row = begin; row < end; ++row) {
      RotateRow(row);
      if constexpr (kPair<T> == 2) {
        if (row + 1 < end && slots_[row] >= 0 && slots_[row] % 2 == 0 &&
            slots_[row + 1] == slots_[row] + 1) {
          RotateRow(row + 1);
          ForEachHead(row, [&](const T* key, int position, T* head_page) {
            StoreHeadTwice(key, key + head_dim_, row_stride_, head_dim_,
                           position, layout_, head_page);
          });
          ++row;
          continue;
        }
      }
      ForEachHead(row, [&](const T* key, int position, T* head_page) {
        StoreHead(key, key + head_dim_, head_dim_, position, layout_,
                  head_page);
      });
    }
  }

 private:
  void RotateRow(int64_t row) const {
    if (args_.rotary.empty()) return;
    const int32_t position = args_.positions.as<int32_t>()[row];
    CHECK(position >= 0 && position < args_.rotary.dim(0))
        << "position " << position;
    const float* cosines =
        args_.rotary.as<float>() + position * args_.rotary.dim(1);
    const size_t half = args_.rotary.dim(1) / 2;
    T* query = args_.qkv.as<T>() + row * row_stride_;
    for (int head = 0; head < args_.cache.num_heads; ++head) {
      Rotate(cosines, half, query);
      // A row without a slot has no key that anyone reads.
      if (slots_[row] >= 0) Rotate(cosines, half, query + head_dim_);
      query += 3 * head_dim_;
    }
  }

  // store(key, position in the page, head page), if the row has a slot.
  template <typename Store>
  void ForEachHead(int64_t row, const Store& store) const {
    const KvLayer& cache = args_.cache;
    const int64_t slot = slots_[row];
    CHECK(slot >= -1 && slot / kPageLength < cache.num_pages)
        << "slot " << slot;
    if (slot < 0) return;
    const T* key = args_.qkv.as<T>() + row * row_stride_ + head_dim_;
    for (int head = 0; head < cache.num_heads; ++head, key += 3 * head_dim_) {
      store(key, static_cast<int>(slot % kPageLength),
            static_cast<T*>(cache.data) +
                layout_.HeadPage(slot / kPageLength, head));
    }
  }

  const RotaryStoreKvArgs& args_;
  const KvPage<T> layout_;
  const int head_dim_;
  const int64_t row_stride_;
  const int32_t* const slots_;
};

void StoreRowsFp32(const RotaryStoreKvArgs& args, int64_t begin, int64_t end) {
  RotaryStoreKvJob<float>(args).StoreRows(begin, end);
}

void StoreRowsBf16(const RotaryStoreKvArgs& args, int64_t begin, int64_t end) {
  RotaryStoreKvJob<BFloat16>(args).StoreRows(begin, end);
}

}  // namespace HWY_NAMESPACE
}  // namespace blockserve::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace blockserve::cpu {

HWY_EXPORT(StoreRowsFp32);
HWY_EXPORT(StoreRowsBf16);

template <typename T>
void RotaryStoreKv(const RotaryStoreKvArgs& args, int num_threads) {
  const auto store_rows = DTypeOf<T>() == DType::kFloat32
                              ? HWY_DYNAMIC_DISPATCH(StoreRowsFp32)
                              : HWY_DYNAMIC_DISPATCH(StoreRowsBf16);
  const int64_t work = int64_t{3} * args.cache.num_heads * args.cache.head_dim;
  ParallelFor(
      num_threads, args.qkv.dim(0), work,
      [&](int64_t begin, int64_t end) { store_rows(args, begin, end); });
}

template void RotaryStoreKv<float>(const RotaryStoreKvArgs&, int);
template void RotaryStoreKv<BFloat16>(const RotaryStoreKvArgs&, int);

}  // namespace blockserve::cpu
#endif  // HWY_ONCE
