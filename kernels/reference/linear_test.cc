#include "kernels/reference/linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/reference/matrix.h"

namespace blockserve::reference {
namespace {

TensorView View(std::vector<float>& values,
                std::initializer_list<int64_t> shape) {
  return TensorView(values.data(), DType::kFloat32, shape);
}

TEST(ReferenceLinearTest, MultipliesByTheTransposedWeight) {
  const float weight[] = {1, 2, 3, 4, 5, 6};  // [2, 3]
  const ReferenceMatrix<float> matrix(weight, 2, 3);
  std::vector<float> input = {1, 0, -1, 2, 1, 0};
  std::vector<float> bias = {10, 20};
  std::vector<float> output(4);
  Linear<float>({.input = View(input, {2, 3}),
                 .weight = &matrix,
                 .bias = View(bias, {2}),
                 .output = View(output, {2, 2})});
  EXPECT_EQ(output, (std::vector<float>{8, 18, 14, 33}));
}

TEST(ReferenceLinearTest, AccumulatesOnTheOutput) {
  const float weight[] = {2};
  const ReferenceMatrix<float> matrix(weight, 1, 1);
  std::vector<float> input = {3};
  std::vector<float> bias = {1};
  std::vector<float> output = {100};
  Linear<float>({.input = View(input, {1, 1}),
                 .weight = &matrix,
                 .bias = View(bias, {1}),
                 .accumulate = true,
                 .output = View(output, {1, 1})});
  EXPECT_EQ(output[0], 107.0f);
}

// Values of x/2 (1 + erf(x / sqrt 2)) and of its tanh form, to 15 digits.
TEST(ReferenceLinearTest, Activations) {
  EXPECT_NEAR(Activate(1.0, Activation::kGelu), 0.841344746068543, 1e-14);
  EXPECT_NEAR(Activate(-1.0, Activation::kGelu), -0.158655253931457, 1e-14);
  EXPECT_NEAR(Activate(3.0, Activation::kGelu), 2.99595030590511, 1e-14);
  EXPECT_NEAR(Activate(1.0, Activation::kGeluTanh), 0.841191990608276, 1e-14);
  EXPECT_NEAR(Activate(-1.0, Activation::kGeluTanh), -0.158808009391724, 1e-14);
  EXPECT_EQ(Activate(2.5, Activation::kRelu), 2.5);
  EXPECT_EQ(Activate(-2.5, Activation::kRelu), 0.0);
  EXPECT_EQ(Activate(-2.5, Activation::kNone), -2.5);
  EXPECT_TRUE(std::isnan(Activate(NAN, Activation::kRelu)));
}

TEST(ReferenceLinearTest, SumsWiderThanFloat) {
  const float weight[] = {1, 1, 1, 1, 1};
  const ReferenceMatrix<float> matrix(weight, 1, 5);
  std::vector<float> input = {1e8f, 1, -1e8f, 1, 1};
  std::vector<float> output(1);
  Linear<float>({.input = View(input, {1, 5}),
                 .weight = &matrix,
                 .output = View(output, {1, 1})});
  EXPECT_EQ(output[0], 3.0f);
}

// A sum kept in bf16 would stop at 256; weights do lose their last bits.
TEST(ReferenceLinearTest, BFloat16IsForStorageOnly) {
  const std::vector<float> weight(300, 1.0f + 0x1p-9f);
  const ReferenceMatrix<BFloat16> matrix(weight.data(), 1, 300);
  EXPECT_EQ(matrix.num_bytes(), 600u);
  std::vector<BFloat16> input(300, ToBFloat16(1.0f));
  std::vector<float> output(1);
  std::vector<BFloat16> narrow_output(1);
  LinearArgs args = {
      .input = TensorView(input.data(), DType::kBFloat16, {1, 300}),
      .weight = &matrix,
      .output = View(output, {1, 1})};
  Linear<BFloat16>(args);
  EXPECT_EQ(output[0], 300.0f);
  std::vector<float> bias = {1.0f};
  args.bias = View(bias, {1});
  args.output = TensorView(narrow_output.data(), DType::kBFloat16, {1, 1});
  Linear<BFloat16>(args);
  // 301 lies between 300 and 302: to even.
  EXPECT_EQ(ToFloat(narrow_output[0]), 300.0f);
}

}  // namespace
}  // namespace blockserve::reference
