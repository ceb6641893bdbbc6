#include "runtime/sampling/token_history.h"

#include <gtest/gtest.h>

namespace blockserve {
namespace {

TEST(TokenHistoryTest, ListsEachTokenOnce) {
  TokenHistory history({5, 7, 5}, /*max_new_tokens=*/4);
  for (int32_t token : {7, 8, 8}) history.AddGenerated(token);
  const auto counts = history.counts();
  ASSERT_EQ(counts.size(), 3u);
  EXPECT_EQ(counts[0].id, 5);
  EXPECT_EQ(counts[0].output_count, 0);
  EXPECT_TRUE(counts[0].in_prompt);
  EXPECT_EQ(counts[1].id, 7);
  EXPECT_EQ(counts[1].output_count, 1);
  EXPECT_TRUE(counts[1].in_prompt);
  EXPECT_EQ(counts[2].id, 8);
  EXPECT_EQ(counts[2].output_count, 2);
  EXPECT_FALSE(counts[2].in_prompt);
}

TEST(TokenHistoryTest, StaysInPlaceUpToItsLimit) {
  TokenHistory history({1, 2, 3}, /*max_new_tokens=*/100);
  const TokenCount* begin = history.counts().data();
  for (int32_t token = 10; token < 110; ++token) history.AddGenerated(token);
  EXPECT_EQ(history.counts().data(), begin);
  EXPECT_EQ(history.counts().size(), 103u);
}

}  // namespace
}  // namespace blockserve
