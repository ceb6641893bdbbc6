#include <cmath>
#include <limits>
#include <string>

#include "kernels/conformance/ops_conformance_test.h"

namespace blockserve {
namespace {

struct LinearCase {
  int64_t rows, in_dim, out_dim;
};

// One element, tails of every vector width, tall and flat, more rows than any
// register tile.
constexpr LinearCase kCases[] = {
    {1, 1, 1},     {1, 7, 5},     {2, 64, 64},    {3, 33, 17},    {5, 1, 300},
    {17, 100, 31}, {64, 256, 96}, {300, 96, 160}, {31, 127, 129}, {4, 2048, 8},
};

// fp32 additions in any order: their errors grow with the root of their number
// (they are as often up as down), 2^-24 each of sums up to sqrt(in_dim) / 3.
Tolerance SumTolerance(int64_t in_dim) {
  return {.absolute = 1e-6 + 1e-7 * static_cast<double>(in_dim),
          .relative = 1e-6};
}

}  // namespace
class LinearConformance : public OpsConformanceTest {};

TEST_P(LinearConformance, LinearWithBias) {
  for (const auto& [rows, in_dim, out_dim] : kCases) {
    SCOPED_TRACE(testing::Message()
                 << rows << " x " << in_dim << " -> " << out_dim);
    const Twin input =
        MakeT({rows, in_dim}, Random(rows * in_dim), Room::kPaddedRows);
    const TwinMatrix weight = Pack(Random(out_dim * in_dim), out_dim, in_dim);
    const Twin bias = MakeFloat({out_dim}, Random(out_dim));
    const Twin output = OutputT({rows, out_dim}, Room::kPaddedRows);
    const Twin float_output = OutputFloat({rows, out_dim}, Room::kPaddedRows);
    OnBothSides([&](const Side& side) {
      for (const Twin* out : {&output, &float_output}) {
        side->Linear({.input = side(input),
                      .weight = side(weight),
                      .bias = side(bias),
                      .output = side(*out)});
      }
    });
    ExpectNear(output, SumTolerance(in_dim));
    ExpectNear(float_output, SumTolerance(in_dim));
  }
}

TEST_P(LinearConformance, LinearWithoutBias) {
  for (const auto& [rows, in_dim, out_dim] : kCases) {
    const Twin input =
        MakeT({rows, in_dim}, Random(rows * in_dim), Room::kPaddedRows);
    const TwinMatrix weight = Pack(Random(out_dim * in_dim), out_dim, in_dim);
    const Twin output = OutputT({rows, out_dim}, Room::kPaddedRows);
    OnBothSides([&](const Side& side) {
      side->Linear({.input = side(input),
                    .weight = side(weight),
                    .output = side(output)});
    });
    ExpectNear(output, SumTolerance(in_dim));
  }
}

TEST_P(LinearConformance, LinearOfEveryNumberOfRows) {
  const TwinMatrix weight = Pack(Random(48 * 40), 48, 40);
  for (int64_t rows = 1; rows <= 40; ++rows) {
    SCOPED_TRACE(rows);
    const Twin input = MakeT({rows, 40}, Random(rows * 40), Room::kPaddedRows);
    const Twin output = OutputT({rows, 48}, Room::kPaddedRows);
    OnBothSides([&](const Side& side) {
      side->Linear({.input = side(input),
                    .weight = side(weight),
                    .output = side(output)});
    });
    ExpectNear(output, SumTolerance(40));
  }
}

// More than fit one product: up to what was reserved, and beyond.
TEST_P(LinearConformance, LinearOfManyRows) {
  const TwinMatrix weight = Pack(Random(24 * 16), 24, 16);
  for (const int64_t rows : {511, 512, 513, 640, 1500}) {
    SCOPED_TRACE(rows);
    const Twin input = MakeT({rows, 16}, Random(rows * 16), Room::kPaddedRows);
    const Twin output = OutputT({rows, 24}, Room::kPaddedRows);
    OnBothSides([&](const Side& side) {
      side->Linear({.input = side(input),
                    .weight = side(weight),
                    .output = side(output)});
    });
    ExpectNear(output, SumTolerance(16));
  }
}

TEST_P(LinearConformance, LinearWithActivation) {
  for (const Activation activation :
       {Activation::kGelu, Activation::kGeluTanh, Activation::kRelu}) {
    for (const auto& [rows, in_dim, out_dim] :
         {LinearCase{1, 1, 1}, LinearCase{9, 40, 50},
          LinearCase{70, 64, 128}}) {
      SCOPED_TRACE(testing::Message()
                   << "activation " << static_cast<int>(activation));
      // Sums from about -8 to 8: the flat, the steep and the straight part.
      const Twin input =
          MakeT({rows, in_dim}, Random(rows * in_dim, 2.0f), Room::kPaddedRows);
      const TwinMatrix weight = Pack(Random(out_dim * in_dim), out_dim, in_dim);
      const Twin bias = MakeFloat({out_dim}, Random(out_dim));
      const Twin output = OutputT({rows, out_dim}, Room::kPaddedRows);
      const Twin float_output = OutputFloat({rows, out_dim}, Room::kPaddedRows);
      OnBothSides([&](const Side& side) {
        for (const Twin* out : {&output, &float_output}) {
          side->Linear({.input = side(input),
                        .weight = side(weight),
                        .bias = side(bias),
                        .activation = activation,
                        .output = side(*out)});
        }
      });
      // Polynomials for erf and tanh are good to some 1e-6. The tanh form
      // differs from the exact one by up to 5e-4: it does not pass for it.
      ExpectNear(output, {.absolute = 2e-5, .relative = 1e-5});
      ExpectNear(float_output, {.absolute = 2e-5, .relative = 1e-5});
    }
  }
}

TEST_P(LinearConformance, LinearAccumulates) {
  for (const bool has_bias : {false, true}) {
    for (const auto& [rows, in_dim, out_dim] : kCases) {
      const Twin input =
          MakeT({rows, in_dim}, Random(rows * in_dim), Room::kPaddedRows);
      const TwinMatrix weight = Pack(Random(out_dim * in_dim), out_dim, in_dim);
      const Twin bias = MakeFloat({out_dim}, Random(out_dim));
      const Twin output =
          MakeFloat({rows, out_dim}, Random(rows * out_dim), Room::kPaddedRows);
      OnBothSides([&](const Side& side) {
        side->Linear({.input = side(input),
                      .weight = side(weight),
                      .bias = has_bias ? side(bias) : TensorView(),
                      .accumulate = true,
                      .output = side(output)});
      });
      ExpectNear(output, SumTolerance(in_dim));
    }
  }
}

// A request with broken numbers must not disturb its neighbours.
TEST_P(LinearConformance, LinearKeepsNanInItsRow) {
  std::vector<float> values = Random(3 * 32);
  values[32 + 5] = std::numeric_limits<float>::quiet_NaN();
  const Twin input = MakeT({3, 32}, values, Room::kPaddedRows);
  const TwinMatrix weight = Pack(Random(20 * 32), 20, 32);
  const Twin output = OutputFloat({3, 20}, Room::kPaddedRows);
  OnBothSides([&](const Side& side) {
    side->Linear(
        {.input = side(input), .weight = side(weight), .output = side(output)});
  });
  const std::vector<float> got = Read(output, 0);
  const std::vector<float> want = Read(output, 1);
  for (int i = 0; i < 60; ++i) {
    if (i / 20 == 1) {
      EXPECT_TRUE(std::isnan(got[i]));
    } else {
      EXPECT_NEAR(got[i], want[i], 1e-5);
    }
  }
}

TEST_P(LinearConformance, LinearOfNoRowsDoesNothing) {
  const Twin input = MakeT({0, 8}, {}, Room::kPaddedRows);
  const TwinMatrix weight = Pack(Random(8 * 8), 8, 8);
  const Twin output = OutputT({0, 8}, Room::kPaddedRows);
  OnBothSides([&](const Side& side) {
    side->Linear(
        {.input = side(input), .weight = side(weight), .output = side(output)});
  });
}

TEST_P(LinearConformance, PackedMatrixKnowsItsExtents) {
  const TwinMatrix weight = Pack(Random(7 * 9), 7, 9);
  EXPECT_EQ(weight.matrices[0]->out_dim(), 7);
  EXPECT_EQ(weight.matrices[0]->in_dim(), 9);
  EXPECT_GE(weight.matrices[0]->num_bytes(), 7 * 9 * SizeOf(dtype()));
}

INSTANTIATE_TEST_SUITE_P(Backends, LinearConformance,
                         testing::ValuesIn(BackendCases()), NameOfCase);

}  // namespace blockserve
