#include "runtime/golden/golden_layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace blockserve {
namespace {

using ::testing::ElementsAre;

TEST(PadPromptTest, PadsInFrontToABlock) {
  const PaddedTokens padded = PadPrompt({5, 6, 7}, {}, 4, 1);
  EXPECT_THAT(padded.ids, ElementsAre(1, 5, 6, 7));
  EXPECT_THAT(padded.mask, ElementsAre(0, 1, 1, 1));
  EXPECT_EQ(PadPrompt({5, 6, 7, 8}, {}, 4, 1).ids.size(), 4u);
  EXPECT_THAT(PadPrompt({0, 6}, {0, 1}, 4, 0).mask, ElementsAre(0, 0, 0, 1));
}

TEST(BlockMaskTest, NeedsOneToken) {
  EXPECT_THAT(BlockMask({0, 0, 0, 1, 1, 0}, 2), ElementsAre(0, 1, 1));
}

ScoreLayout Layout(std::string_view mode, std::vector<int32_t> context,
                   std::vector<int32_t> continuation, int block_length,
                   int batch_width = 0) {
  const auto layout = LayOutScore(mode, context, continuation, block_length,
                                  batch_width, /*prompt_pad_id=*/9);
  EXPECT_TRUE(layout.ok()) << layout.status();
  return layout.ok() ? *layout : ScoreLayout{};
}

TEST(LayOutScoreTest, AlignedStartsTheContinuationOnABoundary) {
  const ScoreLayout layout = Layout("aligned", {1, 2, 3}, {4, 5, 6}, 2);
  EXPECT_THAT(layout.blocks.ids, ElementsAre(9, 1, 2, 3, 4, 5, 6, 0));
  EXPECT_THAT(layout.blocks.mask, ElementsAre(0, 1, 1, 1, 1, 1, 1, 0));
  EXPECT_EQ(layout.target_begin, 4);
}

TEST(LayOutScoreTest, EvalPadSwitchesOnTheFirstZeroBehind) {
  const ScoreLayout layout = Layout("eval_pad", {1, 2}, {3, 4}, 4);
  // 0 0 0 X..., then zeros up to a boundary.
  EXPECT_THAT(layout.blocks.ids, ElementsAre(0, 0, 0, 1, 2, 3, 0, 0));
  EXPECT_THAT(layout.blocks.mask, ElementsAre(0, 0, 0, 1, 1, 1, 1, 0));
  EXPECT_EQ(layout.target_begin, 5);
}

TEST(LayOutScoreTest, EvalPadSwitchesOnAZeroInTheText) {
  const ScoreLayout layout = Layout("eval_pad", {1, 0, 0}, {3, 4}, 4);
  EXPECT_THAT(layout.blocks.ids, ElementsAre(0, 0, 0, 1, 0, 0, 3, 0));
  EXPECT_THAT(layout.blocks.mask, ElementsAre(0, 0, 0, 1, 1, 0, 1, 0));
}

TEST(LayOutScoreTest, EvalPadAddsAWholeBlockBehindAFullRow) {
  const ScoreLayout layout = Layout("eval_pad", {1, 2}, {3, 4, 5, 6}, 4);
  EXPECT_THAT(layout.blocks.ids,
              ElementsAre(0, 0, 0, 1, 2, 3, 4, 5, 0, 0, 0, 0));
}

TEST(LayOutScoreTest, ALeadingZeroCountsAsNone) {
  const ScoreLayout layout = Layout("eval_pad", {0}, {3, 4}, 2);
  EXPECT_THAT(layout.blocks.ids, ElementsAre(0, 0, 3, 0));
  EXPECT_THAT(layout.blocks.mask, ElementsAre(0, 0, 1, 1));
}

TEST(LayOutScoreTest, BatchesPadBehindFirst) {
  const ScoreLayout layout = Layout("eval_pad_batched", {1, 2}, {3, 4}, 4, 6);
  EXPECT_THAT(layout.blocks.ids,
              ElementsAre(0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0, 0));
  EXPECT_THAT(layout.blocks.mask,
              ElementsAre(0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0));
}

TEST(LayOutScoreTest, EvalNopadNeedsABlockOfContext) {
  const ScoreLayout layout = Layout("eval_nopad", {1, 2, 3}, {4, 5}, 2);
  EXPECT_THAT(layout.blocks.ids, ElementsAre(1, 2, 3, 4, 0, 0));
  EXPECT_THAT(layout.blocks.mask, ElementsAre(1, 1, 1, 1, 1, 0));
  EXPECT_EQ(layout.target_begin, 3);
  EXPECT_FALSE(LayOutScore("eval_nopad", {1}, {4, 5}, 2, 0, 0).ok());
}

TEST(LayOutScoreTest, RefusesWhatCannotBeScored) {
  EXPECT_FALSE(LayOutScore("causal", {1}, {4}, 2, 0, 0).ok());
  EXPECT_FALSE(LayOutScore("causal", {}, {4}, 1, 0, 0).ok());
  EXPECT_FALSE(LayOutScore("aligned", {}, {4}, 2, 0, 0).ok());
  EXPECT_FALSE(LayOutScore("aligned", {1}, {}, 2, 0, 0).ok());
  EXPECT_FALSE(LayOutScore("backwards", {1}, {2}, 2, 0, 0).ok());
  EXPECT_TRUE(LayOutScore("causal", {1}, {4}, 1, 0, 0).ok());
}

}  // namespace
}  // namespace blockserve
