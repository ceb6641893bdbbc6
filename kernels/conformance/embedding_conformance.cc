#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/conformance/ops_conformance_test.h"

namespace blockserve {
namespace {

// Copies and single additions: nothing to tolerate.
constexpr Tolerance kExact = {};

constexpr int64_t kDims[] = {1, 3, 16, 33, 64, 130};

}  // namespace
class EmbeddingConformance : public OpsConformanceTest {};

TEST_P(EmbeddingConformance, EmbedsWithStride) {
  for (const int64_t dim : kDims) {
    for (const int64_t stride : {1, 2, 5}) {
      for (const int64_t rows : {1, 7, 40}) {
        SCOPED_TRACE(testing::Message()
                     << rows << " x " << dim << ", stride " << stride);
        std::vector<int32_t> values((rows - 1) * stride + 1);
        for (int32_t& id : values) id = RandomInt(11);
        const Twin ids =
            MakeInts({static_cast<int64_t>(values.size())}, values);
        const Twin table = MakeT({11, dim}, Random(11 * dim));
        const Twin output = OutputFloat({rows, dim});
        OnBothSides([&](const Side& side) {
          side->Embed({.ids = side(ids),
                       .ids_stride = stride,
                       .table = side(table),
                       .output = side(output)});
        });
        ExpectNear(output, kExact);
      }
    }
  }
}

TEST_P(EmbeddingConformance, EmbedAccumulates) {
  for (const int64_t dim : kDims) {
    const Twin ids = MakeInts({4}, {2, 0, 2, 4});
    const Twin table = MakeT({5, dim}, Random(5 * dim));
    const Twin output = MakeFloat({4, dim}, Random(4 * dim));
    OnBothSides([&](const Side& side) {
      side->Embed({.ids = side(ids),
                   .table = side(table),
                   .accumulate = true,
                   .output = side(output)});
    });
    ExpectNear(output, kExact);
  }
}

TEST_P(EmbeddingConformance, EmbedReadsRowZeroForNegativeIds) {
  const std::vector<float> rows = Random(3 * 10);
  const Twin ids = MakeInts({2}, {-1, 2});
  const Twin table = MakeT({3, 10}, rows);
  const Twin output = OutputFloat({2, 10});
  OnBothSides([&](const Side& side) {
    side->Embed(
        {.ids = side(ids), .table = side(table), .output = side(output)});
  });
  std::vector<float> expected(rows.begin(), rows.begin() + 10);
  expected.insert(expected.end(), rows.begin() + 20, rows.end());
  ExpectValues(output, expected, kExact);
}

// Bit for bit: one conversion rounds to nearest, ties to even.
TEST_P(EmbeddingConformance, CastsBetweenFloatAndT) {
  for (const int64_t count : {1, 7, 16, 33, 1000}) {
    std::vector<float> values(count);
    for (float& value : values) {
      value = static_cast<float>(RandomInt(1 << 30)) * 0x1p-29f - 1.0f;
    }
    const Twin input = MakeFloat({count}, values);
    const Twin narrow = OutputT({count});
    const Twin wide = OutputFloat({count});
    const Twin copy = OutputT({count, 1});
    OnBothSides([&](const Side& side) {
      side->Cast(side(input), side(narrow));
      side->Cast(side(narrow), side(wide));
      side->Cast(side(narrow), side(copy));
    });
    const std::vector<float> expected = RoundedToT(values);
    EXPECT_EQ(Read(narrow, 0), expected);
    EXPECT_EQ(Read(wide, 0), expected);
    EXPECT_EQ(Read(copy, 0), expected);
  }
}

TEST_P(EmbeddingConformance, CastsTiesToEvenAndWhatIsNotANumber) {
  const float infinity = std::numeric_limits<float>::infinity();
  // 1 + 2^-8 and 1 + 3 * 2^-8 lie halfway between two bf16 numbers.
  const std::vector<float> numbers = {1.0f + 0x1p-8f, 1.0f + 0x3p-8f, -0.0f,
                                      infinity,       -infinity,      3.4e38f};
  // The second would round to zero, the third to infinity.
  const std::vector<float> nans = {std::numeric_limits<float>::quiet_NaN(),
                                   std::bit_cast<float>(0xffffffffu),
                                   std::bit_cast<float>(0x7f800001u)};
  // Often enough for whole vectors and a rest.
  std::vector<float> values;
  std::vector<float> nan_values;
  for (int i = 0; i < 7; ++i) {
    values.insert(values.end(), numbers.begin(), numbers.end());
    nan_values.insert(nan_values.end(), nans.begin(), nans.end());
  }
  const int64_t count = values.size();
  const int64_t num_nans = nan_values.size();
  const Twin input = MakeFloat({count}, values);
  const Twin nan_input = MakeFloat({num_nans}, nan_values);
  const Twin output = MakeT({count}, std::vector<float>(count, 0.0f));
  const Twin nan_output = MakeT({num_nans}, std::vector<float>(num_nans, 0.0f));
  OnBothSides([&](const Side& side) {
    side->Cast(side(input), side(output));
    side->Cast(side(nan_input), side(nan_output));
  });
  EXPECT_EQ(Read(output, 0), RoundedToT(values));
  EXPECT_TRUE(std::signbit(Read(output, 0)[2]));
  const std::vector<float> still_nan = Read(nan_output, 0);
  for (int64_t i = 0; i < num_nans; ++i) {
    EXPECT_TRUE(std::isnan(still_nan[i]))
        << "element " << i << " is " << still_nan[i];
  }
}

TEST_P(EmbeddingConformance, GathersRows) {
  for (const int64_t dim : kDims) {
    const Twin input = MakeT({9, dim}, Random(9 * dim));
    const Twin float_input = MakeFloat({9, dim}, Random(9 * dim));
    const Twin indices = MakeInts({6}, {8, 0, 3, 3, 7, 1});
    const Twin output = OutputT({6, dim});
    const Twin float_output = OutputFloat({6, dim});
    OnBothSides([&](const Side& side) {
      side->GatherRows(side(input), side(indices), side(output));
      side->GatherRows(side(float_input), side(indices), side(float_output));
    });
    EXPECT_EQ(Read(output, 0), Read(output, 1));
    EXPECT_EQ(Read(float_output, 0), Read(float_output, 1));
  }
}

TEST_P(EmbeddingConformance, CopiesColumns) {
  for (const int64_t dim : kDims) {
    for (const int64_t begin : {0, 1, 13}) {
      const int64_t width = begin + dim + 2;
      const Twin input = MakeT({5, width}, Random(5 * width));
      const Twin float_input = MakeFloat({5, width}, Random(5 * width));
      const Twin output = OutputT({5, dim});
      const Twin float_output = OutputFloat({5, dim});
      OnBothSides([&](const Side& side) {
        side->CopyColumns(side(input), begin, side(output));
        side->CopyColumns(side(float_input), begin, side(float_output));
      });
      EXPECT_EQ(Read(output, 0), Read(output, 1));
      EXPECT_EQ(Read(float_output, 0), Read(float_output, 1));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, EmbeddingConformance,
                         testing::ValuesIn(BackendCases()), NameOfCase);

}  // namespace blockserve
