// The layout of a page of the KV cache.
//
//   page:      [num_heads] head pages
//   head page: keys   T [padded_dim / kPair][kPageLength][kPair]
//              values T [kPageLength / kPair][padded_dim][kPair]
//
// A vector of keys holds one dimension of neighbouring positions, so scores
// come out side by side and no sum over lanes is needed. For bf16, kPair = 2
// neighbours lie in one 32-bit word: their halves widen to fp32 by a shift and
// a mask, and the layout is that of the CPU's bf16 pair products and tiles. A
// head's keys and values are adjacent, so that one stream of prefetches covers
// both. padded_dim is head_dim up to a multiple of 16; the padding stays zero,
// and kernels need no tails.
#ifndef BLOCKSERVE_KERNELS_CPU_KV_PAGE_H_
#define BLOCKSERVE_KERNELS_CPU_KV_PAGE_H_

#include <cstddef>
#include <cstdint>

#include "kernels/api/dtype.h"
#include "kernels/api/ops.h"

namespace blockserve::cpu {

inline constexpr int kDimPadding = 16;
inline constexpr int kMaxHeadDim = 512;

constexpr int PaddedDim(int head_dim) {
  return (head_dim + kDimPadding - 1) / kDimPadding * kDimPadding;
}

template <typename T>
inline constexpr int kPair = 1;
template <>
inline constexpr int kPair<BFloat16> = 2;

// Offsets in elements of T.
template <typename T>
class KvPage {
 public:
  KvPage(int num_heads, int head_dim)
      : num_heads_(num_heads), padded_dim_(PaddedDim(head_dim)) {}

  int padded_dim() const { return padded_dim_; }
  int64_t head_page_size() const {
    return int64_t{2} * kPageLength * padded_dim_;
  }
  int64_t page_size() const { return num_heads_ * head_page_size(); }

  // Where the head page of `head` in page `page` begins.
  int64_t HeadPage(int64_t page, int64_t head) const {
    return (page * num_heads_ + head) * head_page_size();
  }
  // Inside a head page.
  int64_t Key(int position, int dim) const {
    return (int64_t{dim} / kPair<T> * kPageLength + position) * kPair<T> +
           dim % kPair<T>;
  }
  int64_t Value(int position, int dim) const {
    return int64_t{kPageLength} * padded_dim_ +
           (int64_t{position} / kPair<T> * padded_dim_ + dim) * kPair<T> +
           position % kPair<T>;
  }

 private:
  int num_heads_;
  int padded_dim_;
};

}  // namespace blockserve::cpu

#endif  // BLOCKSERVE_KERNELS_CPU_KV_PAGE_H_
