#include "kernels/api/shape_checks.h"

#include <gtest/gtest.h>

#include <array>

namespace blockserve {
namespace {

constexpr DType kFloat = DType::kFloat32;
constexpr DType kBf16 = DType::kBFloat16;

// Only extents are looked at, so any memory does.
std::array<char, 4096> memory;
std::array<char, 4096> other_memory;

TensorView View(DType dtype, std::initializer_list<int64_t> shape) {
  return TensorView(memory.data(), dtype, shape);
}

TensorView Other(DType dtype, std::initializer_list<int64_t> shape) {
  return TensorView(other_memory.data(), dtype, shape);
}

class FakeMatrix : public Matrix {
 public:
  int64_t out_dim() const override { return 5; }
  int64_t in_dim() const override { return 3; }
  size_t num_bytes() const override { return 60; }
};

TEST(ShapeChecksDeathTest, LinearNamesTheWrongTensor) {
  const FakeMatrix weight;
  LinearArgs args = {.input = View(kBf16, {2, 3}),
                     .weight = &weight,
                     .bias = View(kFloat, {5}),
                     .output = Other(kBf16, {2, 5})};
  CheckLinear(args, kBf16);
  args.output = Other(kFloat, {2, 5});
  args.accumulate = true;
  CheckLinear(args, kBf16);
  args.activation = Activation::kGelu;
  EXPECT_DEATH(CheckLinear(args, kBf16), "accumulate needs");
  args.activation = Activation::kNone;
  args.bias = View(kBf16, {5});
  EXPECT_DEATH(CheckLinear(args, kBf16),
               "bias: expected fp32 \\[5\\], got bf16 \\[5\\]");
  args.bias = TensorView();
  args.input = View(kBf16, {2, 4});
  EXPECT_DEATH(CheckLinear(args, kBf16),
               "input: expected bf16 \\[2, 3\\], got bf16 \\[2, 4\\]");
}

TEST(ShapeChecksDeathTest, OutputMustNotBeTheInput) {
  const FakeMatrix weight;
  const LinearArgs args = {.input = View(kFloat, {2, 3}),
                           .weight = &weight,
                           .output = View(kFloat, {2, 5})};
  EXPECT_DEATH(CheckLinear(args, kFloat), "aliases");
}

TEST(ShapeChecksDeathTest, EmbedNeedsEnoughIds) {
  EmbedArgs args = {.ids = View(DType::kInt32, {9}),
                    .ids_stride = 4,
                    .table = View(kBf16, {10, 3}),
                    .output = Other(kFloat, {3, 3})};
  CheckEmbed(args, kBf16);
  args.ids = View(DType::kInt32, {8});
  EXPECT_DEATH(CheckEmbed(args, kBf16), "too few for 3 rows");
}

TEST(ShapeChecksDeathTest, LocalAttentionStaysInItsCache) {
  LocalAttentionArgs args = {.qkv = View(kFloat, {4, 1, 3, 2}),
                             .num_queries = 2,
                             .past_length = 3,
                             .max_length = 5,
                             .cache = other_memory.data(),
                             .output = Other(kFloat, {4, 1, 2})};
  CheckLocalAttention(args, kFloat);
  args.past_length = 4;
  EXPECT_DEATH(CheckLocalAttention(args, kFloat), "exceeds max_length");
  args.past_length = 0;
  args.cache = nullptr;
  EXPECT_DEATH(CheckLocalAttention(args, kFloat), "needs a cache");
  args.causal = false;
  CheckLocalAttention(args, kFloat);
}

TEST(ShapeChecksDeathTest, RotaryFitsTheHead) {
  RotaryStoreKvArgs args = {
      .qkv = View(kFloat, {2, 1, 3, 4}),
      .rotary = Other(kFloat, {7, 4}),
      .positions = Other(DType::kInt32, {2}),
      .slots = Other(DType::kInt32, {2}),
      .cache = {memory.data(), /*num_pages=*/1, /*num_heads=*/1,
                /*head_dim=*/4}};
  CheckRotaryStoreKv(args, kFloat);
  args.rotary = Other(kFloat, {7, 6});
  EXPECT_DEATH(CheckRotaryStoreKv(args, kFloat), "rotary_dim");
  args.rotary = Other(kFloat, {7, 3});
  EXPECT_DEATH(CheckRotaryStoreKv(args, kFloat), "rotary_dim");
}

TEST(ShapeChecksDeathTest, LogprobsNeedAPlace) {
  const FakeMatrix head;
  SampleRow row;
  SampleArgs args = {.rows = absl::MakeConstSpan(&row, 1),
                     .tokens = Other(DType::kInt32, {1, 4})};
  CheckSampleTokens(View(kFloat, {1, 3}), head, args, kFloat);
  args.offset = 4;
  EXPECT_DEATH(CheckSampleTokens(View(kFloat, {1, 3}), head, args, kFloat),
               "offset 4 of 4");
  args.offset = 0;
  row.num_logprobs = 0;
  EXPECT_DEATH(CheckSampleTokens(View(kFloat, {1, 3}), head, args, kFloat),
               "logprobs: expected fp32 \\[1, 4\\], got nothing");
}

}  // namespace
}  // namespace blockserve
