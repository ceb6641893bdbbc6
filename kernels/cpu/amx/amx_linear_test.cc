// What goes beyond the conformance suite: bits that do not depend on what a row
// is multiplied with, and the order of sums that panel_product.h promises.
#include "kernels/cpu/amx/amx_linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/api/dtype.h"
#include "kernels/api/ops.h"
#include "kernels/cpu/onednn_linear.h"

namespace blockserve::cpu {
namespace {

constexpr int64_t kInDim = 3 * 32;
constexpr int64_t kOutDim = 11 * 32 + 5;  // many streams of rows, and a tail
constexpr int64_t kNumRows = 420;

std::vector<float> RandomValues(int64_t count, int seed) {
  std::mt19937 generator(seed);
  std::vector<float> values(count);
  for (float& value : values) {
    // Of very different sizes: another order of sums gives other bits.
    const float size = std::ldexp(1.0f, static_cast<int>(generator() % 24));
    value = ToFloat(ToBFloat16((generator() * 0x1p-31f - 1.0f) * size));
  }
  return values;
}

class AmxLinearTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!AmxLinear::IsSupported()) GTEST_SKIP() << "no AMX on this CPU";
    linear_ = Create(/*num_threads=*/1);
  }

  static std::unique_ptr<LinearEngine> Create(int num_threads) {
    return std::make_unique<AmxLinear>(
        num_threads, *OneDnnLinear::Create(DType::kBFloat16, num_threads));
  }

  struct Problem {
    int64_t in_dim = kInDim;
    int64_t out_dim = kOutDim;
    Activation activation = Activation::kNone;
    bool accumulate = false;
  };

  // Rows [begin, begin + num_rows) of `input`.
  static std::vector<float> Multiply(LinearEngine& linear,
                                     const Problem& problem, int64_t begin,
                                     int64_t num_rows) {
    const std::vector<float> weight =
        RandomValues(problem.out_dim * problem.in_dim, 1);
    const auto matrix =
        *linear.Pack(weight.data(), problem.out_dim, problem.in_dim);
    std::vector<BFloat16> input;
    for (float value : RandomValues(kNumRows * problem.in_dim, 2)) {
      input.push_back(ToBFloat16(value));
    }
    std::vector<float> bias = RandomValues(problem.out_dim, 3);
    std::vector<float> output = RandomValues(num_rows * problem.out_dim, 4);
    // The same in every row.
    for (int64_t i = problem.out_dim; i < std::ssize(output); ++i) {
      output[i] = output[i - problem.out_dim];
    }
    EXPECT_TRUE(linear
                    .Run({.input = TensorView(
                              input.data() + begin * problem.in_dim,
                              DType::kBFloat16, {num_rows, problem.in_dim}),
                          .weight = matrix.get(),
                          .bias = TensorView(bias.data(), DType::kFloat32,
                                             {problem.out_dim}),
                          .activation = problem.activation,
                          .accumulate = problem.accumulate,
                          .output = TensorView(output.data(), DType::kFloat32,
                                               {num_rows, problem.out_dim})})
                    .ok());
    return output;
  }

  std::unique_ptr<LinearEngine> linear_;
};

void ExpectSameBits(const std::vector<float>& a, const float* b) {
  EXPECT_EQ(std::memcmp(a.data(), b, a.size() * sizeof(float)), 0);
}

TEST_F(AmxLinearTest, RowsHaveTheSameBitsInEveryBatch) {
  for (const Problem& problem :
       {Problem{}, Problem{.activation = Activation::kGelu},
        Problem{.activation = Activation::kGeluTanh},
        // Cut into passes over the depth, added one after the other.
        Problem{.in_dim = 3200, .out_dim = 100, .accumulate = true},
        // Not cut: a pass has fewer rows.
        Problem{
            .in_dim = 3200, .out_dim = 40, .activation = Activation::kRelu}}) {
    const std::vector<float> all = Multiply(*linear_, problem, 0, kNumRows);
    for (const int64_t num_rows : {1, 2, 3, 15, 16, 17, 31, 32, 33, 47, 49, 63,
                                   255, 383, 385, 386, 400}) {
      SCOPED_TRACE(testing::Message()
                   << num_rows << " rows of in_dim " << problem.in_dim);
      const int64_t begin = 7;
      ExpectSameBits(Multiply(*linear_, problem, begin, num_rows),
                     all.data() + begin * problem.out_dim);
    }
  }
}

TEST_F(AmxLinearTest, ThreadsDoNotChangeBits) {
  const Problem wide;
  const Problem narrow = {.out_dim = 40};  // rows are dealt to threads too
  for (const Problem& problem : {wide, narrow}) {
    const std::vector<float> alone = Multiply(*linear_, problem, 0, kNumRows);
    for (const int num_threads : {2, 3, 4, 8}) {
      const auto linear = Create(num_threads);
      ExpectSameBits(alone, Multiply(*linear, problem, 0, kNumRows).data());
      const std::vector<float> two = Multiply(*linear, problem, 0, 2);
      ExpectSameBits(two, alone.data());
    }
  }
}

float OneStep(const float* x, const float* w) {
  float even = 0.0f;
  float odd = 0.0f;
  for (int i = 0; i < 32; i += 2) {
    even = std::fma(x[i], w[i], even);
    odd = std::fma(x[i + 1], w[i + 1], odd);
  }
  return even + odd;
}

TEST_F(AmxLinearTest, SumsInThePromisedOrder) {
  const Problem problem;
  const std::vector<float> weight = RandomValues(kOutDim * kInDim, 1);
  const std::vector<float> input = RandomValues(kNumRows * kInDim, 2);
  const std::vector<float> bias = RandomValues(kOutDim, 3);
  for (const int64_t num_rows : {1, 2, 40}) {
    const std::vector<float> output = Multiply(*linear_, problem, 0, num_rows);
    for (int64_t row = 0; row < num_rows; ++row) {
      for (int64_t column = 0; column < kOutDim; ++column) {
        float total = 0.0f;
        for (int64_t i = 0; i < kInDim; i += 32) {
          total +=
              OneStep(&input[row * kInDim + i], &weight[column * kInDim + i]);
        }
        ASSERT_EQ(output[row * kOutDim + column], total + bias[column])
            << row << ", " << column << " of " << num_rows << " rows";
      }
    }
  }
}

// The table of the exact GELU, over all that bf16 can say from -16 to 16.
TEST_F(AmxLinearTest, GeluIsExactToSixDigits) {
  std::vector<float> identity(32 * 32, 0.0f);
  for (int i = 0; i < 32; ++i) identity[33 * i] = 1.0f;
  const auto matrix = *linear_->Pack(identity.data(), 32, 32);
  std::vector<BFloat16> input;
  for (uint32_t bits = 0; bits <= 0x4180; ++bits) {
    input.push_back({static_cast<uint16_t>(bits)});
    input.push_back({static_cast<uint16_t>(bits | 0x8000)});
  }
  input.resize((input.size() + 31) / 32 * 32);
  const int64_t num_rows = std::ssize(input) / 32;
  for (const Activation activation :
       {Activation::kGelu, Activation::kGeluTanh}) {
    std::vector<float> output(input.size());
    ASSERT_TRUE(linear_
                    ->Run({.input = TensorView(input.data(), DType::kBFloat16,
                                               {num_rows, 32}),
                           .weight = matrix.get(),
                           .activation = activation,
                           .output = TensorView(output.data(), DType::kFloat32,
                                                {num_rows, 32})})
                    .ok());
    for (size_t i = 0; i < input.size(); ++i) {
      const double x = ToFloat(input[i]);
      const double u = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
      const double want = activation == Activation::kGelu
                              ? x / 2 * std::erfc(-x * M_SQRT1_2)
                              : x / 2 * (1 + std::tanh(u));
      ASSERT_NEAR(output[i], want, 2e-6 + 1e-6 * std::abs(x)) << x;
    }
  }
}

// Subnormal activations, weights and products count as zero, in tiles and in
// rows alike.
TEST_F(AmxLinearTest, SubnormalsAreZeroInEveryBatch) {
  const float tiny = 1e-39f;
  std::vector<float> weight(32 * 32, tiny);
  const auto matrix = *linear_->Pack(weight.data(), 32, 32);
  std::vector<BFloat16> input(20 * 32, ToBFloat16(1.0f));
  for (const int64_t num_rows : {1, 2, 20}) {
    std::vector<float> output(num_rows * 32, 1.0f);
    ASSERT_TRUE(linear_
                    ->Run({.input = TensorView(input.data(), DType::kBFloat16,
                                               {num_rows, 32}),
                           .weight = matrix.get(),
                           .output = TensorView(output.data(), DType::kFloat32,
                                                {num_rows, 32})})
                    .ok());
    for (float value : output) EXPECT_EQ(value, 0.0f) << num_rows;
  }
}

// Rows are read in whole tiles and stored in whole panels.
TEST_F(AmxLinearTest, TouchesNothingBeyondRowsAndColumns) {
  constexpr int64_t kFew = 37;
  std::vector<float> weight(kFew * 32, 1.0f);
  const auto matrix = *linear_->Pack(weight.data(), kFew, 32);
  for (const int64_t num_rows : {1, 2, 5, 19, 40}) {
    std::vector<BFloat16> input(num_rows * 32, ToBFloat16(1.0f));
    std::vector<float> output(num_rows * kFew + 64, -1.0f);
    ASSERT_TRUE(linear_
                    ->Run({.input = TensorView(input.data(), DType::kBFloat16,
                                               {num_rows, 32}),
                           .weight = matrix.get(),
                           .output = TensorView(output.data(), DType::kFloat32,
                                                {num_rows, kFew})})
                    .ok());
    for (int64_t i = 0; i < std::ssize(output); ++i) {
      ASSERT_EQ(output[i], i < num_rows * kFew ? 32.0f : -1.0f);
    }
  }
}

}  // namespace
}  // namespace blockserve::cpu
