#include "runtime/model/fake_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

namespace blockserve {
namespace {

using ::testing::HasSubstr;

constexpr int kLength = 4;

// One sequence of whole units, and a step of it.
struct Fed {
  std::vector<int32_t> tokens;
  std::vector<uint8_t> mask;
  std::vector<int32_t> pages = {0, 1};
  int unit_begin = 0;
  int num_outputs = 1;

  SequenceChunk Chunk() const {
    return {.tokens = tokens,
            .token_mask = mask,
            .pages = pages,
            .unit_begin = unit_begin,
            .cache_length = unit_begin,
            .num_outputs = num_outputs};
  }
};

Fed Units(int count, int first_token = 10) {
  Fed fed;
  fed.tokens.resize(count * kLength);
  std::iota(fed.tokens.begin(), fed.tokens.end(), first_token);
  return fed;
}

class FakeModelTest : public testing::Test {
 protected:
  static FakeModelOptions Options() {
    FakeModelOptions options;
    options.tokens_per_step = kLength;
    options.limits = {.max_units_per_step = 8,
                      .max_rows_per_step = 4,
                      .max_sequences_per_step = 4,
                      .max_units_per_sequence = 24,
                      .num_pages = 4};
    return options;
  }

  absl::StatusOr<StepOutput> Run(const std::vector<Fed>& fed,
                                 const std::vector<DecodeRow>& rows,
                                 int num_tokens = kLength) {
    std::vector<SequenceChunk> chunks;
    for (const Fed& each : fed) chunks.push_back(each.Chunk());
    return model_.Step(
        {.chunks = chunks, .rows = rows, .num_tokens = num_tokens});
  }

  void ExpectViolation(const std::vector<Fed>& fed,
                       const std::vector<DecodeRow>& rows,
                       const std::string& what, int num_tokens = kLength) {
    EXPECT_EQ(Run(fed, rows, num_tokens).status().code(),
              absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(model_.CheckAll().ToString(), HasSubstr(what));
  }

  FakeModel model_{Options()};
};

TEST_F(FakeModelTest, ChunkedOrNotTheTokensAreTheSame) {
  const auto whole = Run({Units(3)}, {DecodeRow{}});
  ASSERT_TRUE(whole.ok()) << whole.status();
  const std::vector<int32_t> tokens(whole->tokens.begin(), whole->tokens.end());
  Fed first = Units(1);
  first.num_outputs = 0;
  ASSERT_TRUE(Run({first}, {}).ok());
  Fed rest = Units(2, 10 + kLength);
  rest.unit_begin = 1;
  const auto chunked = Run({rest}, {DecodeRow{}});
  ASSERT_TRUE(chunked.ok()) << chunked.status();
  EXPECT_THAT(tokens, testing::ElementsAreArray(chunked->tokens));
  EXPECT_TRUE(model_.CheckAll().ok());
}

TEST_F(FakeModelTest, EveryEarlierTokenMatters) {
  const auto before = Run({Units(2)}, {DecodeRow{}});
  ASSERT_TRUE(before.ok());
  const std::vector<int32_t> tokens(before->tokens.begin(),
                                    before->tokens.end());
  Fed changed = Units(2);
  changed.tokens[0] = 99;
  const auto after = Run({changed}, {DecodeRow{}});
  ASSERT_TRUE(after.ok());
  EXPECT_THAT(tokens, testing::Not(testing::ElementsAreArray(after->tokens)));
}

TEST_F(FakeModelTest, ComputesOnlyWhatIsAskedFor) {
  const auto output = Run({Units(1)}, {DecodeRow{}}, /*num_tokens=*/2);
  ASSERT_TRUE(output.ok());
  EXPECT_GE(output->tokens[1], 0);
  EXPECT_EQ(output->tokens[2], FakeModel::kNotComputed);
}

TEST_F(FakeModelTest, FindsAPageThatTwoSequencesHold) {
  Fed other = Units(1);
  other.pages = {2, 1};
  ExpectViolation({Units(1), other}, {DecodeRow{}, DecodeRow{}},
                  "page 1 belongs to two chunks");
}

TEST_F(FakeModelTest, FindsACacheThatIsNotAsClaimed) {
  ASSERT_TRUE(Run({Units(1)}, {DecodeRow{}}).ok());
  Fed ahead = Units(1);
  ahead.unit_begin = 2;
  ExpectViolation({ahead}, {DecodeRow{}}, "unit 1 of 2 is not in the cache");
}

TEST_F(FakeModelTest, FindsACacheThatAnotherSequenceOverwrote) {
  Fed long_one = Units(8);
  ASSERT_TRUE(Run({long_one}, {DecodeRow{}}).ok());
  ASSERT_TRUE(Run({Units(1)}, {DecodeRow{}}).ok());
  Fed next = Units(1);
  next.unit_begin = 8;
  ExpectViolation({next}, {DecodeRow{}}, "is not in the cache");
}

TEST_F(FakeModelTest, FindsRowsThatDoNotMatchTheOutputs) {
  ExpectViolation({Units(1)}, {}, "1 outputs, 0 rows");
}

TEST_F(FakeModelTest, FindsForcedTokensThatAreNotGiven) {
  DecodeRow row;
  row.sampling.num_forced = 2;
  ExpectViolation({Units(1)}, {row}, "2 forced of 4 tokens, 0 given");
}

TEST_F(FakeModelTest, FindsPaddingInTheMiddle) {
  Fed padded = Units(1);
  padded.tokens[1] = FakeModel::kPromptPad;
  padded.mask = {1, 0, 1, 1};
  ExpectViolation({padded}, {DecodeRow{}}, "padding at 1");
}

TEST_F(FakeModelTest, FindsTooManyUnits) {
  ExpectViolation({Units(9)}, {DecodeRow{}}, "9 units");
}

TEST_F(FakeModelTest, FindsATokenOutsideTheVocabulary) {
  ExpectViolation({Units(1, 999)}, {DecodeRow{}}, "token 1000");
}

TEST_F(FakeModelTest, RefusesToRunAfterAnError) {
  ExpectViolation({Units(9)}, {DecodeRow{}}, "9 units");
  EXPECT_EQ(Run({Units(1)}, {DecodeRow{}}).status().code(),
            absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace blockserve
