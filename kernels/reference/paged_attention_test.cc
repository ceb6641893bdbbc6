#include "kernels/reference/paged_attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "kernels/api/ops.h"

namespace blockserve::reference {
namespace {

constexpr int kHeads = 2, kDim = 6, kKeys = 40;
constexpr double kScale = 0.4;

TensorView View(std::vector<float>& values,
                std::initializer_list<int64_t> shape) {
  return TensorView(values.data(), DType::kFloat32, shape);
}

TensorView Ints(std::vector<int32_t>& values) {
  return TensorView(values.data(), DType::kInt32,
                    {static_cast<int64_t>(values.size())});
}

// part: 0 query, 1 key, 2 value.
const float* Vector(const std::vector<float>& qkv, int row, int head,
                    int part) {
  return &qkv[((row * kHeads + head) * 3 + part) * kDim];
}

// softmax(scale q K^T) V over keys [begin, end), written out.
std::vector<double> Expected(const std::vector<float>& qkv, int row, int head,
                             int begin, int end) {
  std::vector<double> weights;
  double sum = 0.0;
  for (int k = begin; k < end; ++k) {
    double score = 0.0;
    for (int i = 0; i < kDim; ++i) {
      score +=
          kScale * Vector(qkv, row, head, 0)[i] * Vector(qkv, k, head, 1)[i];
    }
    weights.push_back(std::exp(score));
    sum += weights.back();
  }
  std::vector<double> output(kDim, 0.0);
  for (int k = begin; k < end; ++k) {
    for (int i = 0; i < kDim; ++i) {
      output[i] += weights[k - begin] / sum * Vector(qkv, k, head, 2)[i];
    }
  }
  return output;
}

// One sequence whose three pages lie in reverse order.
TEST(ReferencePagedAttentionTest, IsSoftmaxOverTheVisibleKeys) {
  std::mt19937 random(2);
  std::vector<float> qkv(kKeys * kHeads * 3 * kDim);
  for (float& value : qkv) value = random() * 0x1p-30f - 2.0f;
  const std::vector<float> original = qkv;
  std::vector<int32_t> pages = {2, 1, 0};
  std::vector<int32_t> slots, key_begin, key_end;
  for (int i = 0; i < kKeys; ++i) {
    slots.push_back(pages[i / kPageLength] * kPageLength + i % kPageLength);
    key_begin.push_back(i / 3);
    key_end.push_back(i + 1);
  }
  std::vector<float> memory(3 * 2 * kHeads * kPageLength * kDim);
  const KvLayer cache = {memory.data(), 3, kHeads, kDim};
  std::vector<int32_t> offsets = {0, kKeys};
  std::vector<float> output(kKeys * kHeads * kDim);
  RotaryStoreKv<float>({.qkv = View(qkv, {kKeys, kHeads, 3, kDim}),
                        .slots = Ints(slots),
                        .cache = cache});
  EXPECT_EQ(qkv, original);
  PagedAttention<float>(
      {.qkv = View(qkv, {kKeys, kHeads, 3, kDim}),
       .query_offsets = Ints(offsets),
       .page_table = TensorView(pages.data(), DType::kInt32, {1, 3}),
       .key_begin = Ints(key_begin),
       .key_end = Ints(key_end),
       .scale = kScale,
       .cache = cache,
       .output = View(output, {kKeys, kHeads, kDim})});
  for (int row = 0; row < kKeys; ++row) {
    for (int head = 0; head < kHeads; ++head) {
      const std::vector<double> expected =
          Expected(qkv, row, head, key_begin[row], key_end[row]);
      for (int i = 0; i < kDim; ++i) {
        EXPECT_NEAR(output[(row * kHeads + head) * kDim + i], expected[i],
                    1e-6);
      }
    }
  }
}

}  // namespace
}  // namespace blockserve::reference
