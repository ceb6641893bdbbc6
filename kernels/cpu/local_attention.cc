#include "kernels/cpu/local_attention.h"

#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/kv_page.h"
#include "kernels/cpu/parallel_for.h"

// clang-format off
#include "kernels/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/local_attention.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// clang-format on
#include "kernels/cpu/rotary-inl.h"
#include "kernels/cpu/vector_io-inl.h"
#include "kernels/cpu/vector_math-inl.h"

#ifndef BLOCKSERVE_KERNELS_CPU_LOCAL_ATTENTION_CC_
#define BLOCKSERVE_KERNELS_CPU_LOCAL_ATTENTION_CC_
namespace blockserve::cpu {

// Keys whose scores are held at once.
inline constexpr int kLocalChunk = 64;

// What one query of one head sees: keys [begin, end), `stride` elements apart.
template <typename T>
struct VisibleKeys {
  const T* keys = nullptr;    // of position 0
  const T* values = nullptr;  // of position 0
  int64_t stride = 0;
  int begin = 0;
  int end = 0;
  const uint8_t* mask = nullptr;  // by position; null: all visible
  const float* bias = nullptr;    // by position, or null
};

}  // namespace blockserve::cpu
#endif  // BLOCKSERVE_KERNELS_CPU_LOCAL_ATTENTION_CC_

HWY_BEFORE_NAMESPACE();
namespace blockserve::cpu {
namespace HWY_NAMESPACE {

// Attention of one query, over vectors of D. An online softmax over chunks, so
// that the number of keys has no limit.
template <typename T, class D>
class QueryAttention {
 public:
  QueryAttention(const T* query, int head_dim, float scale)
      : head_dim_(head_dim), scale_(scale) {
    const D d;
    ForEachVector(d, head_dim, [&](size_t, auto load, auto store) HWY_ATTR {
      store(load(query), query_);
      store(hn::Zero(d), sums_);
    });
  }

  void Attend(const VisibleKeys<T>& visible, T* output) {
    for (int begin = visible.begin; begin < visible.end; begin += kLocalChunk) {
      const int end = std::min(begin + kLocalChunk, visible.end);
      const float max = ComputeScores(visible, begin, end);
      if (max == -std::numeric_limits<float>::infinity()) continue;
      if (max > max_ || max != max) Rescale(max);
      ScoresToWeights(end - begin);
      AddValues(visible, begin, end);
    }
    StoreOutput(output);
  }

 private:
  // Into weights_; returns the largest. Hidden keys get -infinity.
  float ComputeScores(const VisibleKeys<T>& visible, int begin, int end) {
    float max = -std::numeric_limits<float>::infinity();
    for (int i = begin; i < end; ++i) {
      float score = -std::numeric_limits<float>::infinity();
      if (visible.mask == nullptr || visible.mask[i] != 0) {
        score = scale_ * Score(visible.keys + i * visible.stride);
        if (visible.bias != nullptr) score += visible.bias[i];
      }
      weights_[i - begin] = score;
      // NaN, once there, stays: the row's tokens must be seen to be invalid.
      max = score > max || score != score ? score : max;
    }
    return max;
  }

  HWY_INLINE float Score(const T* key) const {
    const D d;
    auto sum = hn::Zero(d);
    ForEachVector(d, head_dim_, [&](size_t, auto load, auto) HWY_ATTR {
      sum = hn::MulAdd(load(query_), load(key), sum);
    });
    return hn::GetLane(hn::SumOfLanes(d, sum));
  }

  void Rescale(float max) {
    const D d;
    const float factor = std::exp(max_ - max);
    max_ = max;
    total_ *= factor;
    const auto factors = hn::Set(d, factor);
    ForEachVector(d, head_dim_, [&](size_t, auto load, auto store) HWY_ATTR {
      store(hn::Mul(load(sums_), factors), sums_);
    });
  }

  void ScoresToWeights(int count) {
    const hn::CappedTag<float, 8> d;
    const int lanes = static_cast<int>(hn::Lanes(d));
    while (count % lanes != 0) {
      weights_[count++] = -std::numeric_limits<float>::infinity();
    }
    const auto max = hn::Set(d, max_);
    auto total = hn::Zero(d);
    for (int i = 0; i < count; i += lanes) {
      const auto weight =
          ExpOfNonPositive(d, hn::Sub(hn::Load(d, weights_ + i), max));
      hn::Store(weight, d, weights_ + i);
      total = hn::Add(total, weight);
    }
    total_ += hn::GetLane(hn::SumOfLanes(d, total));
  }

  void AddValues(const VisibleKeys<T>& visible, int begin, int end) {
    const D d;
    ForEachVector(d, head_dim_, [&](size_t, auto load, auto store) HWY_ATTR {
      auto sum = load(sums_);
      for (int i = begin; i < end; ++i) {
        // Hidden values may be anything, NaN included.
        if (visible.mask != nullptr && visible.mask[i] == 0) continue;
        sum = hn::MulAdd(load(visible.values + i * visible.stride),
                         hn::Set(d, weights_[i - begin]), sum);
      }
      store(sum, sums_);
    });
  }

  void StoreOutput(T* output) const {
    const D d;
    // No visible key: zeros.
    const auto factor = hn::Set(d, total_ == 0.0f ? 0.0f : 1.0f / total_);
    ForEachVector(d, head_dim_, [&](size_t, auto load, auto store) HWY_ATTR {
      store(hn::Mul(load(sums_), factor), output);
    });
  }

  const int head_dim_;
  const float scale_;
  float max_ = -std::numeric_limits<float>::infinity();
  float total_ = 0.0f;
  HWY_ALIGN float weights_[kLocalChunk];
  HWY_ALIGN float query_[kMaxHeadDim];
  HWY_ALIGN float sums_[kMaxHeadDim];
};

// The widest vectors that fill `head_dim`; eight lanes (with a scalar tail)
// for other sizes.
template <typename T>
void AttendQuery(const T* query, int head_dim, float scale,
                 const VisibleKeys<T>& visible, T* output) {
  using Widest = hn::CappedTag<float, 16>;
  using Eight = hn::CappedTag<float, 8>;
  if (head_dim % hn::Lanes(Widest()) == 0) {
    QueryAttention<T, Widest>(query, head_dim, scale).Attend(visible, output);
  } else {
    QueryAttention<T, Eight>(query, head_dim, scale).Attend(visible, output);
  }
}

// Rotates the new positions of one head of one row and appends them to the
// cache, if there is one.
template <typename T>
void AppendHead(const LocalAttentionArgs& args, T* qkv, int64_t stride,
                T* cached_keys, T* cached_values) {
  const int64_t head_dim = args.qkv.dim(3);
  for (int i = 0; i < args.num_queries; ++i, qkv += stride) {
    if (!args.rotary.empty()) {
      const int64_t rotary_dim = args.rotary.dim(1);
      const float* cosines = args.rotary.as<float>() +
                             args.positions.as<int32_t>()[i] * rotary_dim;
      Rotate(cosines, rotary_dim / 2, qkv);
      Rotate(cosines, rotary_dim / 2, qkv + head_dim);
    }
    if (cached_keys == nullptr) continue;
    const int64_t position = args.past_length + i;
    std::copy_n(qkv + head_dim, head_dim, cached_keys + position * head_dim);
    std::copy_n(qkv + 2 * head_dim, head_dim,
                cached_values + position * head_dim);
  }
}

// All queries of one head of one row.
template <typename T>
void LocalHead(const LocalAttentionArgs& args, int64_t row, int64_t head) {
  const int64_t num_heads = args.qkv.dim(1);
  const int64_t head_dim = args.qkv.dim(3);
  const int64_t max_length = args.max_length;
  const int64_t first = (row * args.num_queries * num_heads + head) * head_dim;
  const int64_t qkv_stride = num_heads * 3 * head_dim;
  T* qkv = args.qkv.as<T>() + 3 * first;

  VisibleKeys<T> visible;
  if (args.cache == nullptr) {
    AppendHead<T>(args, qkv, qkv_stride, nullptr, nullptr);
    visible.keys = qkv + head_dim;
    visible.values = qkv + 2 * head_dim;
    visible.stride = qkv_stride;
  } else {
    T* keys = static_cast<T*>(args.cache) +
              (row * num_heads + head) * 2 * max_length * head_dim;
    T* values = keys + max_length * head_dim;
    AppendHead(args, qkv, qkv_stride, keys, values);
    visible.keys = keys;
    visible.values = values;
    visible.stride = head_dim;
  }
  if (!args.key_mask.empty()) {
    visible.mask = args.key_mask.as<uint8_t>() + row * max_length;
  }

  T* output = args.output.as<T>() + first;
  for (int i = 0; i < args.num_queries; ++i) {
    const int position = args.past_length + i;
    visible.begin =
        args.window > 0 ? std::max(position - args.window + 1, 0) : 0;
    visible.end =
        args.causal ? position + 1 : args.past_length + args.num_queries;
    if (!args.bias.empty()) {
      visible.bias =
          args.bias.as<float>() + (head * max_length + position) * max_length;
    }
    AttendQuery(qkv + i * qkv_stride, static_cast<int>(head_dim), args.scale,
                visible, output + i * num_heads * head_dim);
  }
}

// One head of query row `query_row` over its memory.
template <typename T>
void CrossHead(const CrossAttentionArgs& args, int64_t query_row,
               int64_t head) {
  const int64_t num_heads = args.query.dim(1);
  const int64_t head_dim = args.query.dim(2);
  const int64_t memory_length = args.memory.dim(1);
  const int64_t row = query_row / args.num_queries;
  VisibleKeys<T> visible;
  visible.keys = args.memory.as<T>() +
                 (row * memory_length * num_heads + head) * 2 * head_dim;
  visible.values = visible.keys + head_dim;
  visible.stride = num_heads * 2 * head_dim;
  visible.end = static_cast<int>(memory_length);
  const int64_t offset = (query_row * num_heads + head) * head_dim;
  AttendQuery(args.query.as<T>() + offset, static_cast<int>(head_dim),
              args.scale, visible, args.output.as<T>() + offset);
}

void LocalHeadFp32(const LocalAttentionArgs& args, int64_t row, int64_t head) {
  LocalHead<float>(args, row, head);
}

void LocalHeadBf16(const LocalAttentionArgs& args, int64_t row, int64_t head) {
  LocalHead<BFloat16>(args, row, head);
}

void CrossHeadFp32(const CrossAttentionArgs& args, int64_t query_row,
                   int64_t head) {
  CrossHead<float>(args, query_row, head);
}

void CrossHeadBf16(const CrossAttentionArgs& args, int64_t query_row,
                   int64_t head) {
  CrossHead<BFloat16>(args, query_row, head);
}

}  // namespace HWY_NAMESPACE
}  // namespace blockserve::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace blockserve::cpu {

HWY_EXPORT(LocalHeadFp32);
HWY_EXPORT(LocalHeadBf16);
HWY_EXPORT(CrossHeadFp32);
HWY_EXPORT(CrossHeadBf16);

template <typename T>
void LocalAttention(const LocalAttentionArgs& args, int num_threads) {
  const int64_t num_heads = args.qkv.dim(1);
  const int64_t head_dim = args.qkv.dim(3);
  CHECK_LE(head_dim, kMaxHeadDim);
  const auto local_head = DTypeOf<T>() == DType::kFloat32
                              ? HWY_DYNAMIC_DISPATCH(LocalHeadFp32)
                              : HWY_DYNAMIC_DISPATCH(LocalHeadBf16);
  const int64_t rows = args.qkv.dim(0) / args.num_queries;
  const int64_t work = int64_t{args.num_queries} * head_dim *
                       (args.past_length + args.num_queries + 1);
  ParallelFor(num_threads, rows * num_heads, work,
              [&](int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i) {
                  local_head(args, i / num_heads, i % num_heads);
                }
              });
}

template <typename T>
void CrossAttention(const CrossAttentionArgs& args, int num_threads) {
  const int64_t num_heads = args.query.dim(1);
  const int64_t head_dim = args.query.dim(2);
  CHECK_LE(head_dim, kMaxHeadDim);
  const auto cross_head = DTypeOf<T>() == DType::kFloat32
                              ? HWY_DYNAMIC_DISPATCH(CrossHeadFp32)
                              : HWY_DYNAMIC_DISPATCH(CrossHeadBf16);
  const int64_t work = head_dim * (args.memory.dim(1) + 1);
  ParallelFor(num_threads, args.query.dim(0) * num_heads, work,
              [&](int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i) {
                  cross_head(args, i / num_heads, i % num_heads);
                }
              });
}

template void LocalAttention<float>(const LocalAttentionArgs&, int);
template void LocalAttention<BFloat16>(const LocalAttentionArgs&, int);
template void CrossAttention<float>(const CrossAttentionArgs&, int);
template void CrossAttention<BFloat16>(const CrossAttentionArgs&, int);

}  // namespace blockserve::cpu
#endif  // HWY_ONCE
