// What goes beyond the conformance suite: results equal bit by bit whatever
// they are computed with, and pages that another sequence has left behind.
#include "kernels/cpu/paged_attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "kernels/cpu/kv_page.h"
#include "kernels/cpu/rotary_store_kv.h"

namespace blockserve::cpu {
namespace {

constexpr int kNumHeads = 2;
constexpr int kNumPages = 16;

// One sequence of `num_keys` stored keys in pages kNumPages - 1, kNumPages - 2
// and so on.
template <typename T>
class Sequence {
 public:
  Sequence(int num_keys, int head_dim, T old_content)
      : head_dim_(head_dim),
        cache_(kNumPages * KvPage<T>(kNumHeads, head_dim).page_size()) {
    const KvPage<T> layout(kNumHeads, head_dim);
    // All but the padding, which stays zero.
    for (int page = 0; page < kNumPages; ++page) {
      for (int head = 0; head < kNumHeads; ++head) {
        T* head_page = cache_.data() + layout.HeadPage(page, head);
        for (int position = 0; position < kPageLength; ++position) {
          for (int dim = 0; dim < head_dim; ++dim) {
            head_page[layout.Key(position, dim)] = old_content;
            head_page[layout.Value(position, dim)] = old_content;
          }
        }
      }
    }
    for (int page = 0; page < kNumPages; ++page) {
      pages_.push_back(kNumPages - 1 - page);
    }
    std::vector<T> qkv = RandomVectors(num_keys);
    std::vector<int32_t> slots;
    for (int i = 0; i < num_keys; ++i) {
      slots.push_back(pages_[i / kPageLength] * kPageLength + i % kPageLength);
    }
    RotaryStoreKv<T>(
        {.qkv = View(qkv),
         .slots = TensorView(slots.data(), DType::kInt32, {num_keys}),
         .cache = layer()},
        /*num_threads=*/2);
  }

  // Outputs of one query per entry of `key_end`, which sees [begin, end).
  std::vector<T> Attend(const std::vector<T>& qkv, std::vector<int32_t> begin,
                        std::vector<int32_t> end, int num_threads = 1) {
    const auto rows = static_cast<int64_t>(end.size());
    std::vector<T> output(rows * kNumHeads * head_dim_);
    std::vector<int32_t> offsets = {0, static_cast<int32_t>(rows)};
    std::vector<T> queries = qkv;
    PagedAttention<T>(
        {.qkv = View(queries),
         .query_offsets = TensorView(offsets.data(), DType::kInt32, {2}),
         .page_table = TensorView(pages_.data(), DType::kInt32, {1, kNumPages}),
         .key_begin = TensorView(begin.data(), DType::kInt32, {rows}),
         .key_end = TensorView(end.data(), DType::kInt32, {rows}),
         .scale = 0.3f,
         .cache = layer(),
         .output = TensorView(output.data(), DTypeOf<T>(),
                              {rows, kNumHeads, head_dim_})},
        num_threads);
    return output;
  }

  std::vector<T> RandomVectors(int rows) {
    std::vector<T> values(rows * row_size());
    for (T& value : values) {
      const float uniform = generator_() * 0x1p-31f - 1.0f;
      if constexpr (sizeof(T) == 2) {
        value = ToBFloat16(uniform);
      } else {
        value = uniform;
      }
    }
    return values;
  }

  int64_t row_size() const { return int64_t{3} * kNumHeads * head_dim_; }

 private:
  KvLayer layer() {
    return {.data = cache_.data(),
            .num_pages = kNumPages,
            .num_heads = kNumHeads,
            .head_dim = head_dim_};
  }
  TensorView View(std::vector<T>& qkv) {
    const auto rows = static_cast<int64_t>(qkv.size()) / row_size();
    return TensorView(qkv.data(), DTypeOf<T>(),
                      {rows, kNumHeads, 3, head_dim_});
  }

  int head_dim_;
  std::mt19937 generator_{7};
  std::vector<T> cache_;
  std::vector<int32_t> pages_;
};

template <typename T>
bool SameBits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

template <typename T>
class PagedAttentionTest : public testing::Test {};

using Types = testing::Types<float, BFloat16>;
TYPED_TEST_SUITE(PagedAttentionTest, Types);

TYPED_TEST(PagedAttentionTest, RowsComeOutTheSameTogetherAndAlone) {
  // A tile of the largest size whose rows see common keys, and rows that do
  // not.
  constexpr int kNumRows = 45;
  for (int head_dim : {16, 40, 64, 96}) {
    Sequence<TypeParam> sequence(200, head_dim, TypeParam());
    std::vector<int32_t> begin;
    std::vector<int32_t> end;
    for (int row = 0; row < kNumRows; ++row) {
      begin.push_back(row % 7 * 3);
      end.push_back(190 - 4 * row);
    }
    const auto queries = sequence.RandomVectors(kNumRows);
    const auto together = sequence.Attend(queries, begin, end);
    EXPECT_TRUE(SameBits(together, sequence.Attend(queries, begin, end, 3)));
    const int64_t size = kNumHeads * head_dim;
    for (int row = 0; row < kNumRows; ++row) {
      const auto alone =
          sequence.Attend({queries.begin() + row * sequence.row_size(),
                           queries.begin() + (row + 1) * sequence.row_size()},
                          {begin[row]}, {end[row]});
      EXPECT_TRUE(SameBits(alone, {together.begin() + row * size,
                                   together.begin() + (row + 1) * size}))
          << "row " << row << ", head_dim " << head_dim;
    }
  }
}

TYPED_TEST(PagedAttentionTest, IgnoresWhatEarlierUsersLeftInAPage) {
  TypeParam nan;
  if constexpr (sizeof(TypeParam) == 2) {
    nan = ToBFloat16(std::numeric_limits<float>::quiet_NaN());
  } else {
    nan = std::numeric_limits<float>::quiet_NaN();
  }
  for (const auto& [num_keys, head_dim] : std::vector<std::pair<int, int>>{
           {1, 24}, {2, 32}, {15, 24}, {17, 64}, {71, 24}, {71, 64}}) {
    Sequence<TypeParam> clean(num_keys, head_dim, TypeParam());
    Sequence<TypeParam> dirty(num_keys, head_dim, nan);
    const auto queries = clean.RandomVectors(5);
    dirty.RandomVectors(5);
    for (int begin = 0; begin < std::min(num_keys, 3); ++begin) {
      const std::vector<int32_t> begins(5, begin);
      const std::vector<int32_t> ends(5, num_keys);
      EXPECT_TRUE(SameBits(clean.Attend(queries, begins, ends),
                           dirty.Attend(queries, begins, ends)))
          << "keys [" << begin << ", " << num_keys << ")";
    }
  }
}

}  // namespace
}  // namespace blockserve::cpu
