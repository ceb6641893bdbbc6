// SampleTokens where the answer is certain: greedy picks, changed logits, bans,
// forced tokens, broken logits.
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/conformance/sampling_fixture.h"

namespace blockserve {

class PickingConformance : public SamplingFixture {};

TEST_P(PickingConformance, GreedyTakesTheLargest) {
  const SampleRow greedy;
  EXPECT_EQ(Sample({{0, 3, 1, 2}, {-5, -9, -3, -4}, {7, 0, 0, 0}},
                   {greedy, greedy, greedy})
                .tokens,
            (std::vector<int32_t>{1, 2, 0}));
  EXPECT_EQ(SampleOne({-2}, greedy), 0);
}

TEST_P(PickingConformance, GreedyTakesTheLowestIdOnATie) {
  for (const int vocab_size : {2, 5, 16, 17, 64, 1003, 5999}) {
    SCOPED_TRACE(vocab_size);
    Logits logits;
    std::vector<int32_t> expected;
    for (const int first : {0, 1, vocab_size / 3, vocab_size - 2}) {
      std::vector<float> row(vocab_size, -1.0f);
      row[first] = 4.0f;
      row[(first + vocab_size) / 2] = 4.0f;
      row[vocab_size - 1] = 4.0f;
      logits.push_back(row);
      expected.push_back(first);
    }
    EXPECT_EQ(Sample(logits, std::vector<SampleRow>(4)).tokens, expected);
    EXPECT_EQ(SampleOne(std::vector<float>(vocab_size, 2.5f), {}), 0);
  }
}

TEST_P(PickingConformance, BiasIsAdded) {
  const std::vector<int32_t> ids = {3, 0, 3};
  const std::vector<float> values = {2.0f, -9.0f, 2.0f};
  SampleRow row;
  row.bias_ids = ids;
  row.bias_values = values;
  // 3 gets both: -1 + 2 + 2 > 2.5; 0 is no longer the largest.
  EXPECT_EQ(SampleOne({5, 1, 2.5, -1}, row), 3);
}

TEST_P(PickingConformance, RepetitionPenaltyDividesOrMultiplies) {
  SampleRow row;
  row.repetition_penalty = 2.0f;
  const std::vector<TokenCount> in_prompt = {{.id = 0, .in_prompt = true}};
  row.history = in_prompt;
  EXPECT_EQ(SampleOne({6, 4, 0}, row), 1);       // 6 / 2 < 4
  EXPECT_EQ(SampleOne({6, 2.5, 0}, row), 0);     // 6 / 2 > 2.5
  EXPECT_EQ(SampleOne({-1, -1.5, -9}, row), 1);  // -1 * 2 < -1.5
  const std::vector<TokenCount> in_output = {{.id = 0, .output_count = 5}};
  row.history = in_output;
  EXPECT_EQ(SampleOne({6, 4, 0}, row), 1);
  EXPECT_EQ(SampleOne({6, 2.5, 0}, row), 0);  // once, not five times
  row.repetition_penalty = 0.5f;              // a reward
  EXPECT_EQ(SampleOne({2, 3, 0}, row), 0);
}

TEST_P(PickingConformance, FrequencyAndPresenceCountTheOutputOnly) {
  SampleRow row;
  row.frequency_penalty = 0.5f;
  const std::vector<TokenCount> history = {
      {.id = 0, .output_count = 4, .in_prompt = true},
      {.id = 1, .output_count = 1},
      {.id = 2, .in_prompt = true}};
  row.history = history;
  EXPECT_EQ(SampleOne({5, 3.25, 0}, row), 0);  // 5 - 2 > 3.25 - 0.5
  EXPECT_EQ(SampleOne({5, 4, 0}, row), 1);     // 5 - 2 < 4 - 0.5
  EXPECT_EQ(SampleOne({5, 3, 4}, row), 2);     // 4 is not touched
  row.frequency_penalty = 0.0f;
  row.presence_penalty = 1.5f;
  EXPECT_EQ(SampleOne({5, 1, 3}, row), 0);
  EXPECT_EQ(SampleOne({5, 1, 4}, row), 2);  // 5 - 1.5 < 4
  row.presence_penalty = -1.5f;
  EXPECT_EQ(SampleOne({5, 6, 7}, row), 1);  // 6 + 1.5
}

TEST_P(PickingConformance, TokensOfTheBlockSoFarArePenalized) {
  SampleRow row;
  row.frequency_penalty = 1.0f;
  const std::vector<TokenCount> history = {{.id = 2, .output_count = 1}};
  row.history = history;
  const Logits logits = {{7, 5.5, 8.5, 4}};
  const auto pick = [&](int offset, std::vector<int32_t> tokens) {
    return Sample(logits, {row},
                  {.offset = offset, .tokens_per_step = 4, .tokens = tokens})
        .tokens[offset];
  };
  EXPECT_EQ(pick(0, {2, 2, 2, 2}), 2);    // later columns do not count
  EXPECT_EQ(pick(1, {2, 2, 2, 2}), 0);    // 8.5 - 2 < 7
  EXPECT_EQ(pick(2, {0, 2, 2, 2}), 2);    // 8.5 - 2 > 7 - 1
  EXPECT_EQ(pick(3, {2, 0, 0, 2}), 2);    // 6.5 against 5 and 5.5
  EXPECT_EQ(pick(3, {2, 0, 2, 2}), 0);    // 8.5 - 3 < 7 - 1
  EXPECT_EQ(pick(2, {-1, -1, 0, 0}), 2);  // ids that are none count nowhere
}

TEST_P(PickingConformance, TokensOfTheBlockAreRepeatedTokens) {
  SampleRow row;
  row.repetition_penalty = 2.0f;
  // Twice in the block, and in the history too: penalized once all the same.
  EXPECT_EQ(Sample({{8, 3, 1}}, {row},
                   {.offset = 2, .tokens_per_step = 3, .tokens = {0, 0, 9}})
                .tokens[2],
            0);
  const std::vector<TokenCount> history = {{.id = 0, .in_prompt = true}};
  row.history = history;
  EXPECT_EQ(Sample({{8, 3, 1}}, {row},
                   {.offset = 2, .tokens_per_step = 3, .tokens = {0, 0, 9}})
                .tokens[2],
            0);
  EXPECT_EQ(Sample({{8, 5, 1}}, {row},
                   {.offset = 2, .tokens_per_step = 3, .tokens = {0, 0, 9}})
                .tokens[2],
            1);
}

TEST_P(PickingConformance, ForcedTokensOfTheBlockCountToo) {
  SampleRow row;
  row.num_forced = 1;
  row.presence_penalty = 2.0f;
  EXPECT_EQ(Sample({{5, 4, 1}}, {row},
                   {.offset = 1, .tokens_per_step = 2, .tokens = {0, 9}})
                .tokens[1],
            1);
}

// Bias, then repetition, then frequency and presence.
TEST_P(PickingConformance, ChangesComeInOrder) {
  const std::vector<int32_t> ids = {0};
  const std::vector<float> values = {8.0f};
  const std::vector<TokenCount> history = {{.id = 0, .output_count = 1}};
  SampleRow row;
  row.bias_ids = ids;
  row.bias_values = values;
  row.repetition_penalty = 2.0f;
  row.frequency_penalty = 1.0f;
  row.history = history;
  // (-2 + 8) / 2 - 1 = 2. Penalty first: -2 * 2 + 8 - 1 = 3; the subtraction
  // first: (6 - 1) / 2 = 2.5.
  EXPECT_EQ(SampleOne({-2, 1.75}, row), 0);
  EXPECT_EQ(SampleOne({-2, 2.25}, row), 1);
}

TEST_P(PickingConformance, BannedIdsAreNotPicked) {
  const std::vector<int32_t> banned = {1, 3};
  const std::vector<int32_t> bias_ids = {1};
  const std::vector<float> bias_values = {100.0f};
  SampleRow row;
  row.banned_ids = banned;
  row.ban_until_offset = 2;
  row.bias_ids = bias_ids;
  row.bias_values = bias_values;
  for (const float temperature : {0.0f, 0.01f}) {
    row.temperature = temperature;
    for (const int offset : {0, 1, 2, 3}) {
      const SampleResult result =
          Sample({{1, 9, 4, 8}}, {row},
                 {.offset = offset, .tokens_per_step = 4, .tokens = {}});
      EXPECT_EQ(result.tokens[offset], offset < 2 ? 2 : 1);
    }
  }
}

TEST_P(PickingConformance, NothingLeftIsInvalid) {
  const std::vector<int32_t> banned = {0, 1, 2};
  SampleRow row;
  row.banned_ids = banned;
  row.ban_until_offset = 1;
  for (const float temperature : {0.0f, 1.0f}) {
    row.temperature = temperature;
    row.top_p = 0.5f;
    EXPECT_EQ(SampleOne({1, 2, 3}, row), kInvalidToken);
  }
}

TEST_P(PickingConformance, ForcedTokensStay) {
  SampleRow forced;
  forced.num_forced = 2;
  forced.num_logprobs = 1;
  SampleRow silent;
  silent.num_forced = 4;
  const SampleRow drawn;
  const Logits logits = {{0, 1, 2}, {0, 1, 2}, {0, 1, 2}};
  const SampleResult inside = Sample(logits, {forced, silent, drawn},
                                     {.offset = 1,
                                      .tokens_per_step = 3,
                                      .tokens = {0, 1, 0, 0, 0, 0, 0, 0, 0}});
  EXPECT_EQ(inside.tokens, (std::vector<int32_t>{0, 1, 0, 0, 0, 0, 0, 2, 0}));
  // log(e / (1 + e + e^2)) of the token that was given.
  EXPECT_NEAR(inside.logprobs[1], -1.4076059644443804, 1e-5);
  EXPECT_EQ(inside.top_ids[1 * kMaxLogprobs], 2);
  const SampleResult outside = Sample(logits, {forced, silent, drawn},
                                      {.offset = 2,
                                       .tokens_per_step = 3,
                                       .tokens = {0, 1, 0, 0, 0, 0, 0, 0, 0}});
  EXPECT_EQ(outside.tokens, (std::vector<int32_t>{0, 1, 2, 0, 0, 0, 0, 0, 2}));
}

TEST_P(PickingConformance, WritesItsColumnOnly) {
  SampleRow row;
  row.num_logprobs = 2;
  const SampleResult result =
      Sample({{0, 1, 2}, {2, 1, 0}}, {row, row},
             {.offset = 1,
              .tokens_per_step = 3,
              .tokens = {-10, -11, -12, -13, -14, -15}});
  EXPECT_EQ(result.tokens, (std::vector<int32_t>{-10, 2, -12, -13, 0, -15}));
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(std::isnan(result.logprobs[i]), i % 3 != 1);
    for (int k = 0; k < kMaxLogprobs; ++k) {
      const bool written = i % 3 == 1 && k < 2;
      EXPECT_EQ(result.top_ids[i * kMaxLogprobs + k] != kUnwritten, written);
      EXPECT_EQ(!std::isnan(result.top_logprobs[i * kMaxLogprobs + k]),
                written);
    }
  }
}

TEST_P(PickingConformance, BrokenLogitsSpoilTheirRowOnly) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  // One number per row times 1, 2, 3: the logits.
  const TwinMatrix head = Pack({1, 2, 3}, 3, 1);
  const Twin input =
      MakeT({5, 1}, {1.0f, nan, -1.0f, infinity, 2.0f}, Room::kPaddedRows);
  SampleRow greedy;
  greedy.num_logprobs = 2;
  SampleRow drawn = greedy;
  drawn.temperature = 1.0f;
  drawn.top_k = 1;
  for (const SampleRow& row : {greedy, drawn}) {
    for (const SampleResult& result :
         SampleProjected(input, head, std::vector<SampleRow>(5, row))) {
      EXPECT_EQ(result.tokens,
                (std::vector<int32_t>{2, kInvalidToken, 0, kInvalidToken, 2}));
      for (const int bad : {1, 3}) {
        EXPECT_TRUE(std::isnan(result.logprobs[bad]));
        EXPECT_EQ(result.top_ids[bad * kMaxLogprobs], kInvalidToken);
        EXPECT_TRUE(std::isnan(result.top_logprobs[bad * kMaxLogprobs]));
      }
      EXPECT_NEAR(result.logprobs[0], -0.40760596444438, 1e-5);
    }
  }
}

// One broken weight of the head, wherever it lies.
TEST_P(PickingConformance, OneBrokenLogitIsNoticed) {
  for (const int vocab_size : {1, 2, 37, 1003}) {
    for (const int id : {0, vocab_size / 2, vocab_size - 1}) {
      for (const float broken : {std::numeric_limits<float>::quiet_NaN(),
                                 std::numeric_limits<float>::infinity()}) {
        std::vector<float> weight = Random(vocab_size);
        weight[id] = broken;
        for (const float temperature : {0.0f, 1.0f}) {
          SampleRow row;
          row.temperature = temperature;
          for (const SampleResult& result :
               SampleProjected(MakeT({1, 1}, {1.0f}, Room::kPaddedRows),
                               Pack(weight, vocab_size, 1), {row})) {
            EXPECT_EQ(result.tokens[0], kInvalidToken)
                << broken << " at " << id << " of " << vocab_size;
          }
        }
      }
    }
  }
}

TEST_P(PickingConformance, ForcedTokenOfABrokenRowStaysWithoutLogprob) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  SampleRow row;
  row.num_forced = 1;
  row.num_logprobs = 0;
  for (const SampleResult& result : SampleProjected(
           MakeT({1, 1}, {nan}, Room::kPaddedRows), Pack({1, 2, 3}, 3, 1),
           {row}, {.offset = 0, .tokens_per_step = 1, .tokens = {1}})) {
    EXPECT_EQ(result.tokens[0], 1);
    EXPECT_TRUE(std::isnan(result.logprobs[0]));
  }
}

TEST_P(PickingConformance, LogitThatOverflowsIsInvalid) {
  const std::vector<TokenCount> history = {{.id = 1, .in_prompt = true}};
  SampleRow row;
  row.repetition_penalty = 1e-38f;  // 1e3 / 1e-38 = infinity
  row.history = history;
  EXPECT_EQ(SampleOne({1, 1000, 2}, row), kInvalidToken);
}

// -infinity is an answer of the model: never this token.
TEST_P(PickingConformance, MinusInfinityIsNeverPicked) {
  const TwinMatrix head = Pack({-3e38f, -3e38f, 1, 1, -3e38f, -3e38f}, 3, 2);
  const Twin input = MakeT({1, 2}, {1, 1}, Room::kPaddedRows);
  SampleRow row;
  row.num_logprobs = 3;
  for (const float temperature : {0.0f, 2.0f}) {
    row.temperature = temperature;
    for (const SampleResult& result : SampleProjected(input, head, {row})) {
      EXPECT_EQ(result.tokens[0], 1);
      EXPECT_NEAR(result.logprobs[0], 0.0, 1e-6);
      EXPECT_EQ(result.top_ids[0], 1);
      EXPECT_EQ(result.top_logprobs[1],
                -std::numeric_limits<float>::infinity());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, PickingConformance,
                         testing::ValuesIn(BackendCases()), NameOfCase);

}  // namespace blockserve
