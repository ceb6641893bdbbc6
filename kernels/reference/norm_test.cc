#include "kernels/reference/norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace blockserve::reference {
namespace {

TensorView View(std::vector<float>& values,
                std::initializer_list<int64_t> shape) {
  return TensorView(values.data(), DType::kFloat32, shape);
}

TEST(ReferenceNormTest, LayerNorm) {
  // Means 2.5 and 0, variances 1.25 and 0 (biased); eps makes them 2 and 0.75.
  std::vector<float> input = {1, 2, 3, 4, 0, 0, 0, 0};
  std::vector<float> gamma = {1, 1, 2, 1};
  std::vector<float> beta = {0, 0, 0, 5};
  std::vector<float> output(8);
  LayerNorm({.input = View(input, {2, 4}),
             .gamma = View(gamma, {4}),
             .beta = View(beta, {4}),
             .eps = 0.75f,
             .output = View(output, {2, 4}),
             .float_output = View(input, {2, 4})});
  const double root = std::sqrt(2.0);
  const double expected[] = {
      -1.5 / root, -0.5 / root, 1.0 / root, 5.0 + 1.5 / root, 0, 0, 0, 5};
  for (int i = 0; i < 8; ++i) EXPECT_NEAR(output[i], expected[i], 1e-6);
  EXPECT_EQ(input, output);
}

TEST(ReferenceNormTest, DualLayerNormIsTwoLayerNorms) {
  std::vector<float> input = {1, 3};
  std::vector<float> gamma_a = {1, 1};
  std::vector<float> beta_a = {0, 0};
  std::vector<float> gamma_b = {2, 4};
  std::vector<float> beta_b = {1, -1};
  std::vector<float> output_a(2);
  std::vector<float> output_b(2);
  DualLayerNorm({.input = View(input, {1, 2}),
                 .gamma_a = View(gamma_a, {2}),
                 .beta_a = View(beta_a, {2}),
                 .gamma_b = View(gamma_b, {2}),
                 .beta_b = View(beta_b, {2}),
                 .eps = 0.0f,
                 .output_a = View(output_a, {1, 2}),
                 .output_b = View(output_b, {1, 2})});
  EXPECT_EQ(output_a, (std::vector<float>{-1, 1}));
  EXPECT_EQ(output_b, (std::vector<float>{-1, 3}));
}

TEST(ReferenceNormTest, RmsNorm) {
  // mean(x^2) = 12.5; with eps the root is 5.
  std::vector<float> input = {3, 4};
  std::vector<float> gamma = {1, 10};
  std::vector<float> output(2);
  RmsNorm({.input = View(input, {1, 2}),
           .gamma = View(gamma, {2}),
           .eps = 12.5f,
           .output = View(output, {1, 2})});
  EXPECT_NEAR(output[0], 0.6, 1e-6);
  EXPECT_NEAR(output[1], 8.0, 1e-6);
}

}  // namespace
}  // namespace blockserve::reference
