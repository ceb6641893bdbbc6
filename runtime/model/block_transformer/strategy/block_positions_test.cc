#include "runtime/model/block_transformer/strategy/block_positions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace blockserve {
namespace {

using ::testing::ElementsAre;

TEST(BlockPositionsTest, APrefixPrecedesTheTokens) {
  ModelConfig config;
  config.block_length = 4;
  config.expansion_ratio = 2;
  config.strategy = DecodingStrategy::kPrefix;
  const BlockPositions forward =
      BlockPositionsOf(config, PrefixPositions::kForward);
  EXPECT_EQ(forward.num_start, 2);
  EXPECT_EQ(forward.max_length, 5);
  EXPECT_THAT(forward.positions, ElementsAre(0, 1, 2, 3, 4));
  const BlockPositions generate =
      BlockPositionsOf(config, PrefixPositions::kReferenceGenerate);
  EXPECT_THAT(generate.positions, ElementsAre(0, 0, 1, 2, 3));
}

TEST(BlockPositionsTest, OtherStrategiesStartWithOneInput) {
  ModelConfig config;
  config.block_length = 3;
  config.expansion_ratio = 3;
  for (const DecodingStrategy strategy :
       {DecodingStrategy::kSummation, DecodingStrategy::kCrossAttention}) {
    config.strategy = strategy;
    for (const PrefixPositions positions :
         {PrefixPositions::kForward, PrefixPositions::kReferenceGenerate}) {
      const BlockPositions block = BlockPositionsOf(config, positions);
      EXPECT_EQ(block.num_start, 1);
      EXPECT_THAT(block.positions, ElementsAre(0, 1, 2));
    }
  }
}

TEST(BlockPositionsTest, ABlockOfOneTokenFeedsNoneBack) {
  ModelConfig config;
  config.block_length = 1;
  config.expansion_ratio = 1;
  config.strategy = DecodingStrategy::kPrefix;
  const BlockPositions block =
      BlockPositionsOf(config, PrefixPositions::kForward);
  EXPECT_EQ(block.max_length, 1);
  EXPECT_THAT(block.positions, ElementsAre(0));
}

}  // namespace
}  // namespace blockserve
