#include "kernels/cpu/row_buckets.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace blockserve::cpu {
namespace {

TEST(RowBucketsTest, HoldEveryRowCountAndGrowWithIt) {
  int64_t last = 0;
  for (int64_t rows = 0; rows <= 3 * kMaxBucketRows; ++rows) {
    const int64_t padded = PadToRowBuckets(rows);
    ASSERT_GE(padded, rows);
    ASSERT_GE(padded, last);
    last = padded;
  }
}

TEST(RowBucketsTest, PadByAThirdAtMostFromSixteenRowsOn) {
  for (int64_t rows = 33; rows <= 3 * kMaxBucketRows; ++rows) {
    EXPECT_LE(PadToRowBuckets(rows) * 3, rows * 4 + 48) << rows;
  }
}

TEST(RowBucketsTest, KeepFullTilesWhole) {
  EXPECT_EQ(PadToRowBuckets(kMaxBucketRows), kMaxBucketRows);
  EXPECT_EQ(PadToRowBuckets(kMaxBucketRows + 1), kMaxBucketRows + 1);
  EXPECT_EQ(PadToRowBuckets(kMaxBucketRows + 9), kMaxBucketRows + 16);
}

}  // namespace
}  // namespace blockserve::cpu
