#include "kernels/cpu/attention_tile.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "kernels/cpu/kv_page.h"

// clang-format off
#include "kernels/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention_tile.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// clang-format on
#include "hwy/cache_control.h"
#include "kernels/cpu/vector_io-inl.h"
#include "kernels/cpu/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace blockserve::cpu {
namespace HWY_NAMESPACE {

// Keys are taken in chunks of four pages, which with the next four fit the
// first-level cache (4 KB a head page at head_dim 64). Chunks begin at
// multiples of their length, wherever a row's keys begin: a row's sums then run
// in the same order whichever rows it is computed with.
constexpr int kChunkPages = 4;
constexpr int kChunkLength = kChunkPages * kPageLength;

// At most a page of positions wide.
using FloatTag = hn::CappedTag<float, kPageLength>;
using FloatVector = hn::Vec<FloatTag>;

// Two neighbouring dimensions of keys, or positions of values, in fp32.
struct VectorPair {
  FloatVector even;
  FloatVector odd;
};

// Lanes [offset, offset + Lanes) of pair `i` of rows that are `size` long.
HWY_INLINE VectorPair LoadPair(const BFloat16* rows, int i, int size,
                               int offset) {
  const FloatTag d;
  const hn::Rebind<uint32_t, FloatTag> d_words;
  const auto words = hn::LoadU(
      d_words, reinterpret_cast<const uint32_t*>(rows) + i * size + offset);
  return {hn::BitCast(d, hn::ShiftLeft<16>(words)),
          hn::BitCast(d, hn::And(words, hn::Set(d_words, 0xffff0000u)))};
}

HWY_INLINE VectorPair LoadPair(const float* rows, int i, int size, int offset) {
  const FloatTag d;
  const float* row = rows + 2 * i * size + offset;
  return {hn::LoadU(d, row), hn::LoadU(d, row + size)};
}

// The online softmax over kRows rows of one head.
template <typename T, int kRows>
class TileAttention {
 public:
  explicit TileAttention(const AttentionTile& tile)
      : tile_(tile), padded_dim_(PaddedDim(tile.head_dim)) {
    begin_ = *std::min_element(tile.key_begin, tile.key_begin + kRows);
    end_ = *std::max_element(tile.key_end, tile.key_end + kRows);
    for (int row = 0; row < kRows; ++row) {
      LoadQuery(row);
      maxima_[row] = -std::numeric_limits<float>::infinity();
      totals_[row] = 0.0f;
      std::fill_n(sums_ + row * padded_dim_, padded_dim_, 0.0f);
    }
  }

  void Run() {
    const int chunk_begin = begin_ / kChunkLength * kChunkLength;
    for (int chunk = chunk_begin; chunk < end_; chunk += kChunkLength) {
      FindPages(chunk);
      ComputeScores();
      HideInvisible(chunk);
      for (int row = 0; row < kRows; ++row) ScoresToWeights(row);
      AddValues(chunk);
    }
    for (int row = 0; row < kRows; ++row) StoreOutput(row);
  }

 private:
  static constexpr bool kPrefetches = kRows == 1;

  // In fp32, zeros behind it.
  void LoadQuery(int row) {
    const FloatTag d;
    const T* from =
        static_cast<const T*>(tile_.queries) + row * tile_.query_stride;
    float* to = queries_ + row * padded_dim_;
    std::fill(to + tile_.head_dim, to + padded_dim_, 0.0f);
    ForEachVector(d, tile_.head_dim,
                  [&](size_t, auto load, auto store)
                      HWY_ATTR { store(load(from), to); });
  }

  const T* HeadPage(int page) const {
    return static_cast<const T*>(tile_.head_pages) +
           tile_.pages[page] * tile_.page_size;
  }

  // The pages of this chunk that hold visible keys, and those to prefetch
  // meanwhile: the next chunk's, or at the end these again, which costs little.
  void FindPages(int chunk) {
    const int chunk_page = chunk / kPageLength;
    const int last_page = (end_ - 1) / kPageLength;
    first_ = std::max(begin_ / kPageLength - chunk_page, 0);
    last_ = std::min(last_page - chunk_page, kChunkPages - 1);
    for (int i = first_; i <= last_; ++i) pages_[i] = HeadPage(chunk_page + i);
    if (!kPrefetches) return;
    for (int i = 0; i < kChunkPages; ++i) {
      const int page = chunk_page + kChunkPages + i;
      next_pages_[i] = page <= last_page ? HeadPage(page) : pages_[last_];
    }
  }

  void ComputeScores() {
    if (kRows == 1 && first_ == 0 && last_ == kChunkPages - 1) {
      PageScores<kChunkPages>(0);
    } else {
      for (int i = first_; i <= last_; ++i) PageScores<1>(i);
    }
  }

  // Scores of kPages pages from `first` on.
  template <int kPages>
  HWY_INLINE void PageScores(int first) {
    const FloatTag d;
    const int lanes = static_cast<int>(hn::Lanes(d));
    for (int offset = 0; offset < kPageLength; offset += lanes) {
      FloatVector even[kRows * kPages];
      FloatVector odd[kRows * kPages];
      for (int i = 0; i < kRows * kPages; ++i) even[i] = odd[i] = hn::Zero(d);
      for (int pair = 0; pair < padded_dim_ / 2; ++pair) {
        for (int page = 0; page < kPages; ++page) {
          const VectorPair keys =
              LoadPair(pages_[first + page], pair, kPageLength, offset);
          if (kPrefetches && kPages == kChunkPages && offset == 0) {
            PrefetchKeys(page, pair);
          }
          for (int row = 0; row < kRows; ++row) {
            const float* query = queries_ + row * padded_dim_ + 2 * pair;
            const int i = row * kPages + page;
            even[i] = hn::MulAdd(keys.even, hn::Set(d, query[0]), even[i]);
            odd[i] = hn::MulAdd(keys.odd, hn::Set(d, query[1]), odd[i]);
          }
        }
      }
      const auto scale = hn::Set(d, tile_.scale);
      for (int row = 0; row < kRows; ++row) {
        for (int page = 0; page < kPages; ++page) {
          const int i = row * kPages + page;
          hn::StoreU(hn::Mul(hn::Add(even[i], odd[i]), scale), d,
                     weights_ + row * kChunkLength +
                         (first + page) * kPageLength + offset);
        }
      }
    }
  }

  // Keys that one row of the tile sees and another does not, and those beyond.
  void HideInvisible(int chunk) {
    for (int row = 0; row < kRows; ++row) {
      const int begin =
          std::clamp(tile_.key_begin[row] - chunk, 0, kChunkLength);
      const int end = std::clamp(tile_.key_end[row] - chunk, 0, kChunkLength);
      float* weights = weights_ + row * kChunkLength;
      constexpr float kHidden = -std::numeric_limits<float>::infinity();
      std::fill(weights, weights + begin, kHidden);
      std::fill(weights + end, weights + kChunkLength, kHidden);
    }
  }

  // exp(score - maximum so far); rescales what was summed under another one.
  void ScoresToWeights(int row) {
    const FloatTag d;
    const int lanes = static_cast<int>(hn::Lanes(d));
    float* weights = weights_ + row * kChunkLength;
    auto max = hn::Set(d, maxima_[row]);
    for (int i = 0; i < kChunkLength; i += lanes) {
      max = hn::Max(max, hn::Load(d, weights + i));
    }
    max = hn::MaxOfLanes(d, max);
    float new_max = hn::GetLane(max);
    if (new_max == -std::numeric_limits<float>::infinity()) {
      // Nothing visible, or NaN, which Max drops and the result must show.
      if (!HoldsNan(weights)) {
        std::fill_n(weights, kChunkLength, 0.0f);
        return;
      }
      new_max = std::numeric_limits<float>::quiet_NaN();
      max = hn::Set(d, new_max);
    }
    auto total = hn::Zero(d);
    for (int i = 0; i < kChunkLength; i += lanes) {
      const auto weight =
          ExpOfNonPositive(d, hn::Sub(hn::Load(d, weights + i), max));
      hn::Store(weight, d, weights + i);
      total = hn::Add(total, weight);
    }
    const float chunk_total = hn::GetLane(hn::SumOfLanes(d, total));
    if (new_max != maxima_[row]) Rescale(row, new_max);
    totals_[row] += chunk_total;
  }

  static bool HoldsNan(const float* weights) {
    return std::any_of(weights, weights + kChunkLength,
                       [](float weight) { return weight != weight; });
  }

  void Rescale(int row, float new_max) {
    const FloatTag d;
    const int lanes = static_cast<int>(hn::Lanes(d));
    const float factor = std::exp(maxima_[row] - new_max);
    maxima_[row] = new_max;
    totals_[row] *= factor;
    float* sums = sums_ + row * padded_dim_;
    const auto factors = hn::Set(d, factor);
    for (int i = 0; i < padded_dim_; i += lanes) {
      hn::Store(hn::Mul(hn::Load(d, sums + i), factors), d, sums + i);
    }
  }

  // sums += weights * values. As many dimensions at once as the registers hold
  // sums of.
  void AddValues(int chunk) {
    const FloatTag d;
    const int lanes = static_cast<int>(hn::Lanes(d));
    constexpr int kStrip = kRows == 1 ? 4 : (HWY_TARGET <= HWY_AVX3 ? 2 : 1);
    int dim = 0;
    for (; dim + kStrip * lanes <= padded_dim_; dim += kStrip * lanes) {
      AddValueStrip<kStrip>(chunk, dim);
    }
    for (; dim < padded_dim_; dim += lanes) AddValueStrip<1>(chunk, dim);
  }

  template <int kStrip>
  HWY_INLINE void AddValueStrip(int chunk, int dim) {
    const FloatTag d;
    const int lanes = static_cast<int>(hn::Lanes(d));
    FloatVector even[kRows * kStrip];
    FloatVector odd[kRows * kStrip];
    for (int i = 0; i < kRows * kStrip; ++i) even[i] = odd[i] = hn::Zero(d);
    for (int page = first_; page <= last_; ++page) {
      const int page_begin = chunk + page * kPageLength;
      // Positions that no row sees may hold anything, NaN included: they are
      // left out, not multiplied by zero.
      const int begin = std::max(begin_ - page_begin, 0);
      const int end = std::min(end_ - page_begin, kPageLength);
      const T* values = pages_[page] + int64_t{kPageLength} * padded_dim_;
      for (int pair = begin / 2; pair < (end + 1) / 2; ++pair) {
        const bool has_even = 2 * pair >= begin;
        const bool has_odd = 2 * pair + 1 < end;
        const float* weights = weights_ + page * kPageLength + 2 * pair;
        if (kPrefetches) PrefetchValues(page, pair, dim);
        for (int s = 0; s < kStrip; ++s) {
          const VectorPair v =
              LoadPair(values, pair, padded_dim_, dim + s * lanes);
          for (int row = 0; row < kRows; ++row) {
            const float* weight = weights + row * kChunkLength;
            const int i = row * kStrip + s;
            if (HWY_LIKELY(has_even)) {
              even[i] = hn::MulAdd(v.even, hn::Set(d, weight[0]), even[i]);
            }
            if (HWY_LIKELY(has_odd)) {
              odd[i] = hn::MulAdd(v.odd, hn::Set(d, weight[1]), odd[i]);
            }
          }
        }
      }
    }
    for (int row = 0; row < kRows; ++row) {
      for (int s = 0; s < kStrip; ++s) {
        const int i = row * kStrip + s;
        float* sums = sums_ + row * padded_dim_ + dim + s * lanes;
        hn::Store(hn::Add(hn::Load(d, sums), hn::Add(even[i], odd[i])), d,
                  sums);
      }
    }
  }

  // One cache line a call, so that loads are spread over the arithmetic.
  HWY_INLINE void PrefetchKeys(int page, int pair) {
    constexpr int kPairElements = 2 * kPageLength;
    hwy::Prefetch(next_pages_[page] + pair * kPairElements);
    if (sizeof(T) == 4) {
      hwy::Prefetch(next_pages_[page] + pair * kPairElements + kPageLength);
    }
  }

  // Values of a pair of positions from dimension `dim` on.
  HWY_INLINE void PrefetchValues(int page, int pair, int dim) {
    if (dim != 0) return;
    constexpr int kLineElements = 64 / sizeof(T);
    const T* values =
        next_pages_[page] + (kPageLength + 2 * pair) * padded_dim_;
    for (int i = 0; i < 2 * padded_dim_; i += kLineElements) {
      hwy::Prefetch(values + i);
    }
  }

  void StoreOutput(int row) {
    const FloatTag d;
    T* output = static_cast<T*>(tile_.outputs) + row * tile_.output_stride;
    const float* sums = sums_ + row * padded_dim_;
    // No visible key: zeros.
    const float total = totals_[row];
    const auto factor = hn::Set(d, total == 0.0f ? 0.0f : 1.0f / total);
    ForEachVector(d, tile_.head_dim,
                  [&](size_t, auto load, auto store)
                      HWY_ATTR { store(hn::Mul(load(sums), factor), output); });
  }

  const AttentionTile& tile_;
  const int padded_dim_;
  int begin_ = 0;  // keys that some row sees
  int end_ = 0;
  int first_ = 0;  // pages of the chunk with visible keys
  int last_ = 0;
  const T* pages_[kChunkPages] = {};
  const T* next_pages_[kChunkPages] = {};
  float maxima_[kRows];
  float totals_[kRows];
  HWY_ALIGN float weights_[kRows * kChunkLength];
  HWY_ALIGN float queries_[kRows * kMaxHeadDim];
  HWY_ALIGN float sums_[kRows * kMaxHeadDim];
};

template <typename T>
void Attend(const AttentionTile& tile, int num_rows) {
  if (num_rows == kTileRows) {
    TileAttention<T, kTileRows>(tile).Run();
  } else {
    TileAttention<T, 1>(tile).Run();
  }
}

void AttendFp32(const AttentionTile& tile, int num_rows) {
  Attend<float>(tile, num_rows);
}

void AttendBf16(const AttentionTile& tile, int num_rows) {
  Attend<BFloat16>(tile, num_rows);
}

}  // namespace HWY_NAMESPACE
}  // namespace blockserve::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace blockserve::cpu {

HWY_EXPORT(AttendFp32);
HWY_EXPORT(AttendBf16);

template <>
void AttendTile<float>(const AttentionTile& tile, int num_rows) {
  HWY_DYNAMIC_DISPATCH(AttendFp32)(tile, num_rows);
}

template <>
void AttendTile<BFloat16>(const AttentionTile& tile, int num_rows) {
  HWY_DYNAMIC_DISPATCH(AttendBf16)(tile, num_rows);
}

}  // namespace blockserve::cpu
#endif  // HWY_ONCE
