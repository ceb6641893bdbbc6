#include "kernels/reference/local_attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace blockserve::reference {
namespace {

TensorView View(std::vector<float>& values,
                std::initializer_list<int64_t> shape) {
  return TensorView(values.data(), DType::kFloat32, shape);
}

// One head of width 1: scores are products of two numbers.
std::vector<float> Attend(std::vector<float> qkv, LocalAttentionArgs args) {
  const int64_t length = qkv.size() / 3;
  std::vector<float> cache(2 * length);
  std::vector<float> output(length);
  args.qkv = View(qkv, {length, 1, 3, 1});
  args.num_queries = static_cast<int>(length);
  args.max_length = static_cast<int>(length);
  args.cache = cache.data();
  args.output = View(output, {length, 1, 1});
  LocalAttention<float>(args);
  return output;
}

const float kLog3 = std::log(3.0f);

// Three positions whose scores are all zero.
const std::vector<float> kEqualScores = {0, 0, 3, 0, 0, 6, 0, 0, 9};

TEST(ReferenceLocalAttentionTest, WeighsByTheSoftmaxOfTheScores) {
  // Position 1: scores 2 * 0 and 2 * log(3) / 2, so weights 1/4 and 3/4.
  const std::vector<float> output = Attend({9, 0, 4, 2, kLog3 / 2, 8}, {});
  EXPECT_NEAR(output[0], 4.0, 1e-6);
  EXPECT_NEAR(output[1], 7.0, 1e-6);
}

TEST(ReferenceLocalAttentionTest, ScalesTheScores) {
  LocalAttentionArgs args;
  args.scale = 0.5f;
  EXPECT_NEAR(Attend({9, 0, 4, 2, kLog3, 8}, args)[1], 7.0, 1e-6);
}

TEST(ReferenceLocalAttentionTest, AddsTheBiasUnscaled) {
  std::vector<float> bias = {0, 0, 0, kLog3};
  LocalAttentionArgs args;
  args.scale = 100.0f;
  args.bias = View(bias, {1, 2, 2});
  EXPECT_NEAR(Attend({0, 0, 4, 0, 0, 8}, args)[1], 7.0, 1e-6);
}

TEST(ReferenceLocalAttentionTest, SeesTheFutureOnlyIfNotCausal) {
  LocalAttentionArgs args;
  EXPECT_NEAR(Attend(kEqualScores, args)[0], 3.0, 1e-6);
  args.causal = false;
  EXPECT_NEAR(Attend(kEqualScores, args)[0], 6.0, 1e-6);
}

TEST(ReferenceLocalAttentionTest, WindowCountsItself) {
  const double expected[] = {6.0, 9.0, 7.5, 6.0};  // 0: no window
  for (int window = 0; window <= 3; ++window) {
    LocalAttentionArgs args;
    args.window = window;
    EXPECT_NEAR(Attend(kEqualScores, args)[2], expected[window], 1e-6);
  }
}

TEST(ReferenceLocalAttentionTest, MaskHidesKeys) {
  std::vector<uint8_t> mask = {0, 1, 7};
  LocalAttentionArgs args;
  args.key_mask = TensorView(mask.data(), DType::kUint8, {1, 3});
  const std::vector<float> output = Attend(kEqualScores, args);
  EXPECT_EQ(output[0], 0.0f);  // nothing to see
  EXPECT_NEAR(output[1], 6.0, 1e-6);
  EXPECT_NEAR(output[2], 7.5, 1e-6);
}

// Step by step through the cache or all at once: the same.
TEST(ReferenceLocalAttentionTest, CacheHoldsThePast) {
  constexpr int kRows = 2, kHeads = 3, kDim = 8, kLength = 5;
  std::mt19937 random(1);
  std::vector<float> qkv(kRows * kLength * kHeads * 3 * kDim);
  for (float& value : qkv) value = random() * 0x1p-31f - 1.0f;
  std::vector<float> cache(kRows * 2 * kHeads * kLength * kDim);
  std::vector<float> at_once(kRows * kLength * kHeads * kDim);
  LocalAttention<float>(
      {.qkv = View(qkv, {kRows * kLength, kHeads, 3, kDim}),
       .num_queries = kLength,
       .max_length = kLength,
       .cache = cache.data(),
       .output = View(at_once, {kRows * kLength, kHeads, kDim})});
  for (int position = 0; position < kLength; ++position) {
    constexpr int kQkvSize = kHeads * 3 * kDim;
    std::vector<float> step(kRows * kQkvSize);
    for (int row = 0; row < kRows; ++row) {
      std::copy_n(&qkv[(row * kLength + position) * kQkvSize], kQkvSize,
                  &step[row * kQkvSize]);
    }
    std::vector<float> output(kRows * kHeads * kDim);
    LocalAttention<float>({.qkv = View(step, {kRows, kHeads, 3, kDim}),
                           .num_queries = 1,
                           .past_length = position,
                           .max_length = kLength,
                           .cache = cache.data(),
                           .output = View(output, {kRows, kHeads, kDim})});
    for (int i = 0; i < kRows * kHeads * kDim; ++i) {
      const int row = i / (kHeads * kDim);
      const int element = i % (kHeads * kDim);
      EXPECT_EQ(output[i],
                at_once[(row * kLength + position) * kHeads * kDim + element]);
    }
  }
}

TEST(ReferenceCrossAttentionTest, SeesAllMemoryOfItsRow) {
  std::vector<float> query = {1, 0};                         // two rows
  std::vector<float> memory = {0, 4, kLog3, 8, 5, 1, 7, 3};  // K, V; K, V
  std::vector<float> output(2);
  CrossAttention<float>({.query = View(query, {2, 1, 1}),
                         .memory = View(memory, {2, 2, 1, 2, 1}),
                         .num_queries = 1,
                         .scale = 1.0f,
                         .output = View(output, {2, 1, 1})});
  EXPECT_NEAR(output[0], 7.0, 1e-6);
  EXPECT_NEAR(output[1], 2.0, 1e-6);
}

}  // namespace
}  // namespace blockserve::reference
