#include "runtime/model/trunk/t5_trunk.h"

#include <gtest/gtest.h>

namespace blockserve {
namespace {

// Values of the formula in FORMAT.md 5.7 with 32 buckets and distance 128.
TEST(T5TrunkTest, BucketsAreExactThenLogarithmic) {
  for (int distance = 0; distance < 16; ++distance) {
    EXPECT_EQ(RelativeAttentionBucket(distance, 32, 128), distance);
  }
  EXPECT_EQ(RelativeAttentionBucket(16, 32, 128), 16);
  EXPECT_EQ(RelativeAttentionBucket(18, 32, 128), 16);  // 16.906
  EXPECT_EQ(RelativeAttentionBucket(19, 32, 128), 17);  // 17.322
  EXPECT_EQ(RelativeAttentionBucket(45, 32, 128), 23);  // 23.956
  EXPECT_EQ(RelativeAttentionBucket(46, 32, 128), 24);  // 24.126
  EXPECT_EQ(RelativeAttentionBucket(127, 32, 128), 31);
  EXPECT_EQ(RelativeAttentionBucket(128, 32, 128), 31);
  EXPECT_EQ(RelativeAttentionBucket(100000, 32, 128), 31);
}

}  // namespace
}  // namespace blockserve
