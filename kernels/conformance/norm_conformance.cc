#include <cmath>
#include <limits>
#include <vector>

#include "kernels/conformance/ops_conformance_test.h"

namespace blockserve {
namespace {

constexpr int64_t kRows[] = {1, 5, 64};
constexpr int64_t kDims[] = {1, 2, 7, 16, 33, 64, 100, 256, 1000};

// Means over `dim` numbers in fp32, and an approximate reciprocal root that
// has been refined to a few units in the last place.
constexpr Tolerance kTolerance = {.absolute = 1e-5, .relative = 1e-5};

}  // namespace
class NormConformance : public OpsConformanceTest {};

TEST_P(NormConformance, LayerNormOfManyShapes) {
  for (const int64_t rows : kRows) {
    for (const int64_t dim : kDims) {
      SCOPED_TRACE(testing::Message() << rows << " x " << dim);
      const Twin input = MakeFloat({rows, dim}, Random(rows * dim, 3.0f));
      const Twin gamma = MakeFloat({dim}, Random(dim));
      const Twin beta = MakeFloat({dim}, Random(dim));
      const Twin output = OutputT({rows, dim});
      const Twin float_output = OutputFloat({rows, dim});
      OnBothSides([&](const Side& side) {
        side->LayerNorm({.input = side(input),
                         .gamma = side(gamma),
                         .beta = side(beta),
                         .output = side(output),
                         .float_output = side(float_output)});
      });
      ExpectNear(output, kTolerance);
      ExpectNear(float_output, kTolerance);
    }
  }
}

TEST_P(NormConformance, LayerNormOfManyRows) {
  const Twin input = MakeFloat({300, 24}, Random(300 * 24));
  const Twin gamma = MakeFloat({24}, Random(24));
  const Twin beta = MakeFloat({24}, Random(24));
  const Twin output = OutputT({300, 24});
  OnBothSides([&](const Side& side) {
    side->LayerNorm({.input = side(input),
                     .gamma = side(gamma),
                     .beta = side(beta),
                     .output = side(output)});
  });
  ExpectNear(output, kTolerance);
}

TEST_P(NormConformance, LayerNormInPlace) {
  for (const int64_t dim : kDims) {
    const Twin input = MakeFloat({5, dim}, Random(5 * dim));
    const Twin gamma = MakeFloat({dim}, Random(dim));
    const Twin beta = MakeFloat({dim}, Random(dim));
    OnBothSides([&](const Side& side) {
      side->LayerNorm({.input = side(input),
                       .gamma = side(gamma),
                       .beta = side(beta),
                       .float_output = side(input)});
    });
    ExpectNear(input, kTolerance);
  }
}

TEST_P(NormConformance, LayerNormUsesItsEps) {
  // Inputs so small that eps is most of the denominator.
  const Twin input = MakeFloat({4, 40}, Random(4 * 40, 1e-3f));
  const Twin ones = MakeFloat({40}, std::vector<float>(40, 1.0f));
  const Twin zeros = MakeFloat({40}, std::vector<float>(40, 0.0f));
  for (const float eps : {1e-5f, 1e-12f}) {
    const Twin output = OutputFloat({4, 40});
    OnBothSides([&](const Side& side) {
      side->LayerNorm({.input = side(input),
                       .gamma = side(ones),
                       .beta = side(zeros),
                       .eps = eps,
                       .float_output = side(output)});
    });
    ExpectNear(output, kTolerance);
  }
}

// mean(x^2) - mean(x)^2 would lose the variance here: 1e6 - 1e6 in fp32.
TEST_P(NormConformance, LayerNormFarFromZero) {
  std::vector<float> values = Random(6 * 256);
  for (float& value : values) value += 1000.0f;
  const Twin input = MakeFloat({6, 256}, values);
  const Twin gamma = MakeFloat({256}, Random(256));
  const Twin beta = MakeFloat({256}, Random(256));
  const Twin output = OutputFloat({6, 256});
  OnBothSides([&](const Side& side) {
    side->LayerNorm({.input = side(input),
                     .gamma = side(gamma),
                     .beta = side(beta),
                     .float_output = side(output)});
  });
  // The mean has an error of some units in the last place of 1000, 6e-5 each.
  ExpectNear(output, {.absolute = 2e-3});
}

TEST_P(NormConformance, LayerNormOfEqualElementsIsBeta) {
  const Twin input = MakeFloat({2, 48}, std::vector<float>(96, 3.1f));
  const Twin gamma = MakeFloat({48}, Random(48));
  const Twin beta = MakeFloat({48}, Random(48));
  const Twin output = OutputFloat({2, 48});
  OnBothSides([&](const Side& side) {
    side->LayerNorm({.input = side(input),
                     .gamma = side(gamma),
                     .beta = side(beta),
                     .float_output = side(output)});
  });
  // 1 / sqrt(eps) = 316 times the rounding error of the mean.
  ExpectNear(output, {.absolute = 1e-3});
}

TEST_P(NormConformance, NanStaysInItsRow) {
  std::vector<float> values = Random(3 * 40);
  values[40 + 39] = std::numeric_limits<float>::quiet_NaN();
  const Twin input = MakeFloat({3, 40}, values);
  const Twin gamma = MakeFloat({40}, Random(40));
  const Twin beta = MakeFloat({40}, Random(40));
  const Twin layer_norm = OutputT({3, 40});
  const Twin rms_norm = OutputT({3, 40});
  OnBothSides([&](const Side& side) {
    side->LayerNorm({.input = side(input),
                     .gamma = side(gamma),
                     .beta = side(beta),
                     .output = side(layer_norm)});
    side->RmsNorm(
        {.input = side(input), .gamma = side(gamma), .output = side(rms_norm)});
  });
  for (const Twin* output : {&layer_norm, &rms_norm}) {
    const std::vector<float> got = Read(*output, 0);
    for (int i = 0; i < 3 * 40; ++i) {
      EXPECT_EQ(std::isnan(got[i]), i / 40 == 1) << "element " << i;
    }
  }
}

TEST_P(NormConformance, DualLayerNormOfManyShapes) {
  for (const int64_t rows : kRows) {
    for (const int64_t dim : kDims) {
      SCOPED_TRACE(testing::Message() << rows << " x " << dim);
      const Twin input = MakeFloat({rows, dim}, Random(rows * dim));
      const Twin gamma_a = MakeFloat({dim}, Random(dim));
      const Twin beta_a = MakeFloat({dim}, Random(dim));
      const Twin gamma_b = MakeFloat({dim}, Random(dim));
      const Twin beta_b = MakeFloat({dim}, Random(dim));
      const Twin output_a = OutputT({rows, dim});
      const Twin output_b = OutputT({rows, dim});
      OnBothSides([&](const Side& side) {
        side->DualLayerNorm({.input = side(input),
                             .gamma_a = side(gamma_a),
                             .beta_a = side(beta_a),
                             .gamma_b = side(gamma_b),
                             .beta_b = side(beta_b),
                             .eps = 1e-5f,
                             .output_a = side(output_a),
                             .output_b = side(output_b)});
      });
      ExpectNear(output_a, kTolerance);
      ExpectNear(output_b, kTolerance);
    }
  }
}

TEST_P(NormConformance, RmsNormOfManyShapes) {
  for (const int64_t rows : kRows) {
    for (const int64_t dim : kDims) {
      SCOPED_TRACE(testing::Message() << rows << " x " << dim);
      const Twin input = MakeFloat({rows, dim}, Random(rows * dim));
      const Twin gamma = MakeFloat({dim}, Random(dim));
      const Twin output = OutputT({rows, dim});
      const Twin float_output = OutputFloat({rows, dim});
      OnBothSides([&](const Side& side) {
        side->RmsNorm({.input = side(input),
                       .gamma = side(gamma),
                       .output = side(output)});
        side->RmsNorm({.input = side(input),
                       .gamma = side(gamma),
                       .float_output = side(float_output)});
        // And in place.
        side->RmsNorm({.input = side(input),
                       .gamma = side(gamma),
                       .float_output = side(input)});
      });
      ExpectNear(output, kTolerance);
      ExpectNear(float_output, kTolerance);
      ExpectNear(input, kTolerance);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, NormConformance,
                         testing::ValuesIn(BackendCases()), NameOfCase);

}  // namespace blockserve
