#include "runtime/model/step_validation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace blockserve {
namespace {

using ::testing::HasSubstr;

// A valid step of two chunks and two rows, each test spoils one thing.
struct Step {
  std::vector<int32_t> tokens = std::vector<int32_t>(8, 5);
  std::vector<uint8_t> mask = std::vector<uint8_t>(8, 1);
  std::vector<int32_t> pages = {0, 3};
  std::vector<int32_t> forced = {1, 2};
  std::vector<uint8_t> forced_mask = {1, 0};
  std::vector<int32_t> ids = {7};
  std::vector<float> values = {1.0f};
  std::vector<TokenCount> history = {{.id = 7}};
  std::vector<SequenceChunk> chunks = std::vector<SequenceChunk>(2);
  std::vector<DecodeRow> rows = std::vector<DecodeRow>(2);
  int num_tokens = 4;

  Step() {
    for (SequenceChunk& chunk : chunks) {
      chunk.tokens = tokens;
      chunk.token_mask = mask;
      chunk.pages = pages;
      chunk.unit_begin = 20;
      chunk.cache_length = 19;
      chunk.num_outputs = 1;
    }
    for (DecodeRow& row : rows) {
      row.forced_tokens = forced;
      row.forced_mask = forced_mask;
      row.sampling.num_forced = 2;
      row.sampling.banned_ids = ids;
      row.sampling.bias_ids = ids;
      row.sampling.bias_values = values;
      row.sampling.history = history;
    }
  }

  absl::Status Validate() const {
    const StepRules rules = {.limits = {.max_units_per_step = 5,
                                        .max_rows_per_step = 3,
                                        .max_sequences_per_step = 2,
                                        .max_units_per_sequence = 30,
                                        .num_pages = 4},
                             .tokens_per_step = 4,
                             .vocab_size = 100,
                             .max_positions = 28};
    return ValidateStep({chunks, rows, num_tokens}, rules);
  }
};

TEST(StepValidationTest, AcceptsAValidStep) {
  EXPECT_TRUE(Step().Validate().ok()) << Step().Validate();
}

TEST(StepValidationTest, RefusesAndSaysWhy) {
  struct Case {
    std::string message;
    std::function<void(Step&)> spoil;
  };
  const Case cases[] = {
      {"chunks in [0, 2], got 3",
       [](Step& s) { s.chunks.push_back(s.chunks[0]); }},
      {"chunk 1: expected whole units of 4 tokens, got 7",
       [](Step& s) { s.chunks[1].tokens.remove_suffix(1); }},
      {"chunk 0: expected whole units of 4 tokens, got 0",
       [](Step& s) { s.chunks[0].tokens = {}; }},
      {"chunk 0: expected a token_mask of 8, got 4",
       [](Step& s) { s.chunks[0].token_mask.remove_suffix(4); }},
      {"chunk 0: tokens[3]: expected an id in [0, 100), got 100",
       [](Step& s) { s.tokens[3] = 100; }},
      {"chunk 0: tokens[0]: expected an id in [0, 100), got -1",
       [](Step& s) { s.tokens[0] = -1; }},
      {"unit_begin in [0, 26], got 27",
       [](Step& s) { s.chunks[0].unit_begin = 27; }},
      {"unit_begin in [0, 26], got -1",
       [](Step& s) { s.chunks[0].unit_begin = -1; }},
      {"cache_length in [0, 20], got 21",
       [](Step& s) { s.chunks[0].cache_length = 21; }},
      {"cache_length in [0, 20], got -1",
       [](Step& s) { s.chunks[0].cache_length = -1; }},
      {"num_outputs in [0, 2], got 3",
       [](Step& s) { s.chunks[0].num_outputs = 3; }},
      {"expected 2 pages for 19 + 2 units, got 1",
       [](Step& s) { s.chunks[0].pages.remove_suffix(1); }},
      {"page in [0, 3], got 4", [](Step& s) { s.pages[1] = 4; }},
      {"page in [0, 3], got -1", [](Step& s) { s.pages[0] = -1; }},
      {"units in [0, 5], got 6",
       [](Step& s) {
         s.tokens.resize(12, 5);
         s.mask.resize(12, 1);
         for (SequenceChunk& chunk : s.chunks) {
           chunk.tokens = s.tokens;
           chunk.token_mask = s.mask;
         }
       }},
      {"expected a row for each of 2 outputs, got 1",
       [](Step& s) { s.rows.pop_back(); }},
      {"rows in [0, 3], got 4",
       [](Step& s) {
         s.chunks[0].num_outputs = 2;
         s.chunks[1].num_outputs = 2;
         s.rows.resize(4);
       }},
      {"num_tokens in [1, 4], got 5", [](Step& s) { s.num_tokens = 5; }},
      {"num_tokens in [1, 4], got 0", [](Step& s) { s.num_tokens = 0; }},
      {"row 1: expected num_forced in [0, 4], got 5",
       [](Step& s) { s.rows[1].sampling.num_forced = 5; }},
      {"row 1: expected 1 forced_tokens, got 2",
       [](Step& s) { s.rows[1].sampling.num_forced = 1; }},
      {"row 0: expected a forced_mask of 2, got 1",
       [](Step& s) { s.rows[0].forced_mask.remove_suffix(1); }},
      {"row 0: forced_tokens[1]: expected an id in [0, 100), got 100",
       [](Step& s) { s.forced[1] = 100; }},
      {"num_logprobs in [-1, 20], got 21",
       [](Step& s) { s.rows[0].sampling.num_logprobs = 21; }},
      {"expected 1 bias_values, got 0",
       [](Step& s) { s.rows[0].sampling.bias_values = {}; }},
      {"banned_ids[0]: expected an id in [0, 100), got 100",
       [](Step& s) { s.ids[0] = 100; }},
      {"history id in [0, 99], got 100",
       [](Step& s) { s.history[0].id = 100; }},
  };
  for (const Case& test : cases) {
    Step step;
    test.spoil(step);
    const absl::Status status = step.Validate();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument)
        << test.message;
    EXPECT_THAT(std::string(status.message()), HasSubstr(test.message));
  }
}

TEST(StepValidationTest, NumTokensMeansNothingWithoutRows) {
  Step step;
  for (SequenceChunk& chunk : step.chunks) chunk.num_outputs = 0;
  step.rows.clear();
  step.num_tokens = 0;
  EXPECT_TRUE(step.Validate().ok()) << step.Validate();
}

TEST(StepValidationTest, LimitsMustBePositive) {
  ModelLimits limits;
  limits.num_pages = 1;
  EXPECT_TRUE(ValidateLimits(limits).ok());
  limits.num_pages = 0;
  EXPECT_THAT(std::string(ValidateLimits(limits).message()),
              HasSubstr("limits.num_pages: expected at least 1, got 0"));
  limits.num_pages = 1;
  limits.max_rows_per_step = -1;
  EXPECT_THAT(std::string(ValidateLimits(limits).message()),
              HasSubstr("limits.max_rows_per_step"));
}

}  // namespace
}  // namespace blockserve
