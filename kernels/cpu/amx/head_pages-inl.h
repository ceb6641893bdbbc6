// The head pages of a chunk of keys (kv_page.h has their layout).
#ifndef BLOCKSERVE_KERNELS_CPU_AMX_HEAD_PAGES_INL_H_
#define BLOCKSERVE_KERNELS_CPU_AMX_HEAD_PAGES_INL_H_

#include <algorithm>
#include <cstdint>

#include "kernels/api/dtype.h"
#include "kernels/api/ops.h"
#include "kernels/cpu/amx/softmax-inl.h"
#include "kernels/cpu/amx/target.h"
#include "kernels/cpu/attention_tile.h"

AMX_TARGET_BEGIN
namespace blockserve::cpu::amx {

inline constexpr int kPairsAPage = kPageLength / 2;

// kCount numbers that are not set to zero first, as BFloat16 sets itself: that
// would take longer than a short row's attention.
template <int kCount>
class Scratch {
 public:
  Scratch() {}  // leaves bytes_ alone

  BFloat16* data() { return reinterpret_cast<BFloat16*>(bytes_); }

 private:
  alignas(64) unsigned char bytes_[kCount * sizeof(BFloat16)];
};

class HeadPages {
 public:
  // Keys [begin, end) of the sequence are visible.
  HeadPages(const AttentionTile& tile, int begin, int end)
      : tile_(tile), begin_(begin), end_(end) {}

  int begin() const { return begin_; }
  int end() const { return end_; }
  int first_chunk() const { return begin_ / kChunkLength * kChunkLength; }

  // Page `i` of the chunk at key `chunk`.
  const BFloat16* page(int chunk, int i) const {
    const int page = chunk / kPageLength + i;
    return static_cast<const BFloat16*>(tile_.head_pages) +
           tile_.pages[page] * tile_.page_size;
  }
  bool IsVisible(int chunk, int i) const {
    const int page_begin = chunk + i * kPageLength;
    return page_begin < end_ && page_begin + kPageLength > begin_;
  }
  bool IsWhole(int chunk, int i) const {
    const int page_begin = chunk + i * kPageLength;
    return begin_ <= page_begin && page_begin + kPageLength <= end_;
  }

  // The values of a visible page.
  const BFloat16* values(const BFloat16* page) const {
    return page + kPageLength * tile_.head_dim;
  }

  // Copies the values of page `i`, with zeros where nothing is visible: there
  // may be anything, NaN included, and a weight of zero would not hide it.
  //   to: [kPairsAPage, head_dim, 2]
  void CopyValues(int chunk, int i, BFloat16* to) const {
    if (!IsVisible(chunk, i)) {
      std::fill_n(to, kPairsAPage * 2 * tile_.head_dim, BFloat16());
      return;
    }
    CopyVisibleValues(chunk, i, page(chunk, i), to);
  }
  // The same of a visible page, of which `head_page` is any head's part.
  void CopyVisibleValues(int chunk, int i, const BFloat16* head_page,
                         BFloat16* to) const {
    const int64_t row = 2 * tile_.head_dim;
    const BFloat16* from = values(head_page);
    for (int pair = 0; pair < kPairsAPage; ++pair) {
      const __m512i mask = MaskOfPair(chunk + i * kPageLength + 2 * pair);
      for (int64_t k = pair * row; k < (pair + 1) * row; k += 32) {
        _mm512_store_si512(
            to + k, _mm512_and_si512(mask, _mm512_loadu_si512(from + k)));
      }
    }
  }

 private:
  // Ones where the positions `key` (lower halves) and `key` + 1 are visible.
  __m512i MaskOfPair(int key) const {
    const unsigned even = begin_ <= key && key < end_ ? 0x0000ffffu : 0;
    const unsigned odd = begin_ <= key + 1 && key + 1 < end_ ? 0xffff0000u : 0;
    return _mm512_set1_epi32(static_cast<int>(even | odd));
  }

  const AttentionTile& tile_;
  const int begin_;
  const int end_;
};

}  // namespace blockserve::cpu::amx
AMX_TARGET_END

#endif  // BLOCKSERVE_KERNELS_CPU_AMX_HEAD_PAGES_INL_H_
