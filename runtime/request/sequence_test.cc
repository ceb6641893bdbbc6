#include "runtime/request/sequence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace blockserve {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr UnitLayout kLayout{.tokens_per_unit = 4, .pad_token = 9};

GenerateRequest Generate(int num_prompt_tokens, int max_tokens,
                         std::vector<int32_t> resume = {}) {
  GenerateRequest request;
  for (int i = 0; i < num_prompt_tokens; ++i) request.prompt.push_back(100 + i);
  request.sampling.max_tokens = max_tokens;
  request.resume_tokens = std::move(resume);
  return request;
}

ScoreRequest Score(int num_context_tokens, int num_continuation_tokens) {
  ScoreRequest request;
  for (int i = 0; i < num_context_tokens; ++i) {
    request.context.push_back(100 + i);
  }
  for (int i = 0; i < num_continuation_tokens; ++i) {
    request.continuation.push_back(200 + i);
  }
  return request;
}

TEST(SequenceTest, PadsThePromptInFrontToAUnitBoundary) {
  Sequence sequence(kLayout, Generate(6, 8), absl::UnixEpoch());
  EXPECT_EQ(sequence.num_prompt_units(), 2);
  EXPECT_EQ(sequence.num_padding_tokens(), 2);
  EXPECT_THAT(sequence.UnitTokens(0, 2),
              ElementsAre(9, 9, 100, 101, 102, 103, 104, 105));
  EXPECT_THAT(sequence.prompt(), ElementsAre(100, 101, 102, 103, 104, 105));
}

TEST(SequenceTest, AFullPromptNeedsNoPadding) {
  Sequence sequence(kLayout, Generate(8, 8), absl::UnixEpoch());
  EXPECT_EQ(sequence.num_prompt_units(), 2);
  EXPECT_EQ(sequence.num_padding_tokens(), 0);
}

TEST(SequenceTest, TheLastUnitTakesNoCacheEntry) {
  EXPECT_EQ(kLayout.UnitsToCache(1, 1), 1);
  EXPECT_EQ(kLayout.UnitsToCache(4, 4), 1);
  EXPECT_EQ(kLayout.UnitsToCache(5, 4), 2);
  EXPECT_EQ(kLayout.UnitsToCache(5, 5), 3);
}

TEST(SequenceTest, GenerationWritesOneRowAfterThePrompt) {
  Sequence sequence(kLayout, Generate(10, 6), absl::UnixEpoch());
  EXPECT_EQ(sequence.units_ready(), 3);
  EXPECT_EQ(sequence.NumRowsAfter(2), 0);
  EXPECT_EQ(sequence.NumRowsAfter(3), 1);
  const SequenceRow row = sequence.RowAfter(2);
  EXPECT_EQ(row.position, 0);
  EXPECT_EQ(row.num_needed, 4);
  EXPECT_THAT(row.known, IsEmpty());
}

TEST(SequenceTest, GeneratedUnitsFollowOneByOneAndTheLastIsShort) {
  Sequence sequence(kLayout, Generate(3, 6), absl::UnixEpoch());
  sequence.Advance(1);
  EXPECT_EQ(sequence.units_ready(), 0);
  for (int token : {1, 2, 3, 4}) sequence.AppendToken(token);
  EXPECT_EQ(sequence.units_ready(), 1);
  EXPECT_THAT(sequence.UnitTokens(1, 2), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(sequence.NumRowsAfter(1), 1);
  const SequenceRow row = sequence.RowAfter(1);
  EXPECT_EQ(row.position, 4);
  EXPECT_EQ(row.num_needed, 2);
}

TEST(SequenceTest, ResumedTokensArePrefilledInWholeUnitsAndTheRestIsKnown) {
  Sequence sequence(kLayout, Generate(5, 16, {1, 2, 3, 4, 5, 6}),
                    absl::UnixEpoch());
  EXPECT_EQ(sequence.num_prompt_units(), 2);
  EXPECT_EQ(sequence.num_prefill_units(), 3);
  EXPECT_EQ(sequence.NumRowsAfter(3), 1);
  const SequenceRow row = sequence.RowAfter(2);
  EXPECT_EQ(row.position, 4);
  EXPECT_EQ(row.num_needed, 4);
  EXPECT_THAT(row.known, ElementsAre(5, 6));
}

TEST(SequenceTest, ScoringHasARowForEveryUnitOfTheContinuation) {
  Sequence sequence(kLayout, Score(5, 9), absl::UnixEpoch());
  EXPECT_EQ(sequence.units_to_cache(), 4);
  EXPECT_EQ(sequence.units_ready(), 4);
  EXPECT_EQ(sequence.NumRowsAfter(1), 0);
  EXPECT_EQ(sequence.NumRowsAfter(4), 3);
  EXPECT_THAT(sequence.RowAfter(1).known, ElementsAre(200, 201, 202, 203));
  const SequenceRow last = sequence.RowAfter(3);
  EXPECT_EQ(last.position, 8);
  EXPECT_EQ(last.num_needed, 1);
  EXPECT_THAT(last.known, ElementsAre(208));
  sequence.Advance(3);
  EXPECT_EQ(sequence.NumRowsAfter(1), 1);
}

TEST(SequenceTest, WithOneTokenAUnitEveryTokenIsAUnit) {
  const UnitLayout layout{.tokens_per_unit = 1, .pad_token = 0};
  Sequence sequence(layout, Generate(3, 2), absl::UnixEpoch());
  EXPECT_EQ(sequence.num_padding_tokens(), 0);
  EXPECT_EQ(sequence.units_to_cache(), 4);
  EXPECT_EQ(sequence.RowAfter(2).num_needed, 1);
}

}  // namespace
}  // namespace blockserve
