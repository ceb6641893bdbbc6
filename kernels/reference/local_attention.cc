#include "kernels/reference/local_attention.h"

#include <algorithm>
#include <cstdint>

#include "kernels/reference/rotary.h"
#include "kernels/reference/softmax_sum.h"

namespace blockserve::reference {
namespace {

// One head of one row: where its new positions and its cached ones lie.
template <typename T>
class LocalHead {
 public:
  LocalHead(const LocalAttentionArgs& args, int64_t row, int64_t head)
      : args_(args),
        num_heads_(args.qkv.dim(1)),
        head_dim_(args.qkv.dim(3)),
        row_(row),
        head_(head) {}

  T* query(int64_t i) const { return NewVector(i, 0); }

  // Keys and values by position, cached ones included.
  T* key(int64_t position) const { return Vector(position, 1); }
  T* value(int64_t position) const { return Vector(position, 2); }

  T* output(int64_t i) const {
    return args_.output.as<T>() +
           ((row_ * args_.num_queries + i) * num_heads_ + head_) * head_dim_;
  }

  // Rotates the new positions and appends them to the cache, if there is one.
  void Append() const {
    for (int64_t i = 0; i < args_.num_queries; ++i) {
      Rotate(args_.rotary, args_.positions, i, query(i));
      Rotate(args_.rotary, args_.positions, i, NewVector(i, 1));
      if (args_.cache == nullptr) continue;
      const int64_t position = args_.past_length + i;
      std::copy_n(NewVector(i, 1), head_dim_, key(position));
      std::copy_n(NewVector(i, 2), head_dim_, value(position));
    }
  }

  bool Sees(int64_t query_position, int64_t key_position) const {
    if (args_.causal && key_position > query_position) return false;
    if (args_.window > 0 && key_position <= query_position - args_.window) {
      return false;
    }
    return args_.key_mask.empty() ||
           args_.key_mask
                   .as<uint8_t>()[row_ * args_.max_length + key_position] != 0;
  }

  double Bias(int64_t query_position, int64_t key_position) const {
    if (args_.bias.empty()) return 0.0;
    return args_.bias.as<float>()[(head_ * args_.max_length + query_position) *
                                      args_.max_length +
                                  key_position];
  }

 private:
  // part: 0 query, 1 key, 2 value.
  T* NewVector(int64_t i, int64_t part) const {
    const int64_t vector =
        ((row_ * args_.num_queries + i) * num_heads_ + head_) * 3 + part;
    return args_.qkv.as<T>() + vector * head_dim_;
  }

  T* Vector(int64_t position, int64_t part) const {
    if (args_.cache == nullptr) return NewVector(position, part);
    const int64_t vector =
        ((row_ * 2 + (part - 1)) * num_heads_ + head_) * args_.max_length +
        position;
    return static_cast<T*>(args_.cache) + vector * head_dim_;
  }

  const LocalAttentionArgs& args_;
  int64_t num_heads_;
  int64_t head_dim_;
  int64_t row_;
  int64_t head_;
};

}  // namespace

template <typename T>
void LocalAttention(const LocalAttentionArgs& args) {
  const int64_t rows = args.qkv.dim(0) / args.num_queries;
  const int64_t num_heads = args.qkv.dim(1);
  const int64_t length = args.past_length + args.num_queries;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t h = 0; h < num_heads; ++h) {
      const LocalHead<T> head(args, row, h);
      head.Append();
      for (int64_t i = 0; i < args.num_queries; ++i) {
        const int64_t position = args.past_length + i;
        SoftmaxSum<T> sum(head.query(i), args.qkv.dim(3), args.scale);
        for (int64_t k = 0; k < length; ++k) {
          if (!head.Sees(position, k)) continue;
          sum.Add(head.key(k), head.value(k), head.Bias(position, k));
        }
        sum.Write(head.output(i));
      }
    }
  }
}

template <typename T>
void CrossAttention(const CrossAttentionArgs& args) {
  const int64_t num_positions = args.query.dim(0);
  const int64_t num_heads = args.query.dim(1);
  const int64_t head_dim = args.query.dim(2);
  const int64_t memory_length = args.memory.dim(1);
  for (int64_t i = 0; i < num_positions; ++i) {
    const int64_t row = i / args.num_queries;
    for (int64_t head = 0; head < num_heads; ++head) {
      const int64_t vector = (i * num_heads + head) * head_dim;
      SoftmaxSum<T> sum(args.query.as<T>() + vector, head_dim, args.scale);
      for (int64_t k = 0; k < memory_length; ++k) {
        const T* key =
            args.memory.as<T>() +
            ((row * memory_length + k) * num_heads + head) * 2 * head_dim;
        sum.Add(key, key + head_dim);
      }
      sum.Write(args.output.as<T>() + vector);
    }
  }
}

template void LocalAttention<float>(const LocalAttentionArgs& args);
template void LocalAttention<BFloat16>(const LocalAttentionArgs& args);
template void CrossAttention<float>(const CrossAttentionArgs& args);
template void CrossAttention<BFloat16>(const CrossAttentionArgs& args);

}  // namespace blockserve::reference
