#include "kernels/api/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace blockserve {
namespace {

TEST(DTypeTest, SizesAndNames) {
  EXPECT_EQ(SizeOf(DType::kFloat32), 4u);
  EXPECT_EQ(SizeOf(DType::kBFloat16), 2u);
  EXPECT_EQ(SizeOf(DType::kFloat16), 2u);
  EXPECT_EQ(SizeOf(DType::kInt32), 4u);
  EXPECT_EQ(SizeOf(DType::kUint8), 1u);
  EXPECT_EQ(NameOf(DType::kBFloat16), "bf16");
  EXPECT_EQ(NameOf(DType::kFloat32), "fp32");
}

TEST(DTypeTest, EveryBFloat16SurvivesTheWayThroughFloat) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const BFloat16 value{static_cast<uint16_t>(bits)};
    const float wide = ToFloat(value);
    if (std::isnan(wide)) {
      EXPECT_TRUE(std::isnan(ToFloat(ToBFloat16(wide))));
    } else {
      EXPECT_EQ(ToBFloat16(wide).bits, bits);
    }
  }
}

TEST(DTypeTest, BFloat16RoundsToNearestTiesToEven) {
  EXPECT_EQ(ToBFloat16(1.0f).bits, 0x3f80);
  EXPECT_EQ(ToBFloat16(1.0f + 0x1p-8f).bits, 0x3f80);             // tie: even
  EXPECT_EQ(ToBFloat16(1.0f + 0x3p-8f).bits, 0x3f82);             // tie: even
  EXPECT_EQ(ToBFloat16(1.0f + 0x1p-8f + 0x1p-20f).bits, 0x3f81);  // above it
  EXPECT_EQ(ToBFloat16(1.0f + 0x3p-8f - 0x1p-20f).bits, 0x3f81);  // below it
  EXPECT_EQ(ToBFloat16(-1.0f - 0x3p-8f).bits, 0xbf82);
  EXPECT_EQ(ToBFloat16(-0.0f).bits, 0x8000);
}

TEST(DTypeTest, BFloat16AtTheEdges) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(ToBFloat16(infinity).bits, 0x7f80);
  EXPECT_EQ(ToBFloat16(-infinity).bits, 0xff80);
  // Nearer to the next power of two than to the largest finite bf16.
  EXPECT_EQ(ToBFloat16(std::numeric_limits<float>::max()).bits, 0x7f80);
  // A NaN whose upper half alone would read as infinity.
  EXPECT_TRUE(std::isnan(
      ToFloat(ToBFloat16(std::bit_cast<float>(uint32_t{0x7f800001})))));
  EXPECT_TRUE(std::isnan(
      ToFloat(ToBFloat16(std::bit_cast<float>(uint32_t{0xffffffff})))));
}

TEST(DTypeTest, HalfPrecision) {
  EXPECT_EQ(HalfBitsToFloat(0x3c00), 1.0f);
  EXPECT_EQ(HalfBitsToFloat(0xc000), -2.0f);
  EXPECT_EQ(HalfBitsToFloat(0x3555), 0.333251953125f);
  EXPECT_EQ(HalfBitsToFloat(0x7bff), 65504.0f);
  EXPECT_EQ(HalfBitsToFloat(0x0400), 0x1p-14f);  // smallest normal
  EXPECT_EQ(HalfBitsToFloat(0x0001), 0x1p-24f);  // smallest subnormal
  EXPECT_EQ(HalfBitsToFloat(0x83ff), -0x3ffp-24f);
  EXPECT_TRUE(std::signbit(HalfBitsToFloat(0x8000)));
  EXPECT_EQ(HalfBitsToFloat(0x7c00), std::numeric_limits<float>::infinity());
  EXPECT_EQ(HalfBitsToFloat(0xfc00), -std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(HalfBitsToFloat(0x7e00)));
}

}  // namespace
}  // namespace blockserve
