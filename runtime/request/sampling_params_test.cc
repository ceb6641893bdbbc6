#include "runtime/request/sampling_params.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace blockserve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int kVocabSize = 100;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<std::string> Fields(const SamplingParams& params) {
  std::vector<std::string> fields;
  for (const FieldViolation& violation :
       ValidateSamplingParams(params, kVocabSize)) {
    fields.push_back(violation.field);
  }
  return fields;
}

TEST(SamplingParamsTest, DefaultsAreValid) {
  EXPECT_THAT(Fields({}), IsEmpty());
}

TEST(SamplingParamsTest, AcceptsTheEndsOfEveryRange) {
  SamplingParams low;
  low.temperature = 0.0f;
  low.top_k = -1;
  low.top_p = std::numeric_limits<float>::min();
  low.min_p = 0.0f;
  low.presence_penalty = -2.0f;
  low.frequency_penalty = -2.0f;
  low.repetition_penalty = std::numeric_limits<float>::min();
  low.max_tokens = 1;
  low.min_tokens = 0;
  low.stop_token_ids = {0};
  low.logprobs = -1;
  low.logit_bias = {{0, -100.0f}};
  EXPECT_THAT(Fields(low), IsEmpty());

  SamplingParams high;
  high.temperature = 2.0f;
  high.top_k = std::numeric_limits<int32_t>::max();
  high.min_p = 1.0f;
  high.presence_penalty = 2.0f;
  high.frequency_penalty = 2.0f;
  high.repetition_penalty = 1e30f;
  high.min_tokens = high.max_tokens;
  high.stop_token_ids = std::vector<int32_t>(kMaxStopTokenIds, kVocabSize - 1);
  high.logprobs = kMaxTopLogprobs;
  high.logit_bias = {{kVocabSize - 1, 100.0f}};
  EXPECT_THAT(Fields(high), IsEmpty());
}

TEST(SamplingParamsTest, ReportsEveryViolationAtOnce) {
  SamplingParams params;
  params.temperature = 2.1f;
  params.top_k = -2;
  params.top_p = 0.0f;
  params.min_p = 1.1f;
  params.presence_penalty = -2.1f;
  params.frequency_penalty = 2.1f;
  params.repetition_penalty = 0.0f;
  params.max_tokens = 0;
  params.min_tokens = -1;
  params.stop_token_ids = {kVocabSize};
  params.logprobs = 21;
  params.logit_bias = {{-1, 0.0f}};
  EXPECT_THAT(
      Fields(params),
      ElementsAre("temperature", "top_k", "top_p", "min_p", "presence_penalty",
                  "frequency_penalty", "repetition_penalty", "max_tokens",
                  "min_tokens", "stop_token_ids", "logprobs", "logit_bias"));
}

TEST(SamplingParamsTest, RefusesNanAndInfinity) {
  for (float bad : {kNan, kInfinity, -kInfinity}) {
    SamplingParams params;
    params.temperature = bad;
    params.top_p = bad;
    params.min_p = bad;
    params.presence_penalty = bad;
    params.frequency_penalty = bad;
    params.repetition_penalty = bad;
    params.logit_bias = {{1, bad}};
    EXPECT_THAT(
        Fields(params),
        ElementsAre("temperature", "top_p", "min_p", "presence_penalty",
                    "frequency_penalty", "repetition_penalty", "logit_bias"))
        << bad;
  }
}

TEST(SamplingParamsTest, MinTokensMayNotExceedMaxTokens) {
  SamplingParams params;
  params.max_tokens = 4;
  params.min_tokens = 5;
  EXPECT_THAT(Fields(params), ElementsAre("min_tokens"));
}

TEST(SamplingParamsTest, LimitsTheNumberOfStopIdsAndBiases) {
  SamplingParams params;
  params.stop_token_ids.assign(kMaxStopTokenIds + 1, 0);
  for (int i = 0; i <= kMaxLogitBiases; ++i) {
    params.logit_bias.push_back({i, 0.0f});
  }
  EXPECT_THAT(Fields(params), ElementsAre("stop_token_ids", "logit_bias"));
}

TEST(SamplingParamsTest, RefusesTwoBiasesForOneToken) {
  SamplingParams params;
  params.logit_bias = {{3, 1.0f}, {5, 1.0f}, {3, 2.0f}};
  EXPECT_THAT(Fields(params), ElementsAre("logit_bias"));
}

TEST(SamplingParamsTest, TheDescriptionSaysWhatWasExpectedAndWhatCame) {
  SamplingParams params;
  params.top_p = 1.5f;
  params.max_tokens = 0;
  const std::string text =
      DescribeViolations(ValidateSamplingParams(params, kVocabSize));
  EXPECT_THAT(text, HasSubstr("top_p: must be in (0, 1], got 1.5"));
  EXPECT_THAT(text, HasSubstr("; max_tokens: must be >= 1, got 0"));
}

}  // namespace
}  // namespace blockserve
