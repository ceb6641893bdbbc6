#include "runtime/engine/request_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace blockserve {
namespace {

using ::testing::HasSubstr;

RequestLimits Limits() {
  return {.vocab_size = 100,
          .max_context_tokens = 200,
          .layout = {.tokens_per_unit = 4, .pad_token = 0},
          .max_units_per_sequence = 40,
          .page_length = 16,
          .num_pages = 2};
}

GenerateRequest Generate(int num_prompt_tokens, int max_tokens) {
  GenerateRequest request;
  request.request_id = "r";
  request.prompt.assign(num_prompt_tokens, 1);
  request.sampling.max_tokens = max_tokens;
  return request;
}

std::string Refusal(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TEST(RequestChecksTest, AcceptsWhatFitsExactly) {
  // 31 + 2 units, the last of which is not cached: 32 = 2 pages.
  EXPECT_TRUE(CheckRequest(Generate(124, 8), Limits()).ok());
}

TEST(RequestChecksTest, RefusesAnEmptyPromptAndId) {
  GenerateRequest request = Generate(0, 8);
  request.request_id = "";
  const std::string refusal = Refusal(CheckRequest(request, Limits()));
  EXPECT_THAT(refusal, HasSubstr("prompt: must have at least one token"));
  EXPECT_THAT(refusal, HasSubstr("request_id: must not be empty"));
}

TEST(RequestChecksTest, RefusesIdsOutsideTheVocabulary) {
  for (int32_t id : {-1, 100, std::numeric_limits<int32_t>::max()}) {
    GenerateRequest request = Generate(3, 8);
    request.prompt[2] = id;
    EXPECT_THAT(Refusal(CheckRequest(request, Limits())),
                HasSubstr("at index 2"));
    request = Generate(3, 8);
    request.resume_tokens = {id};
    EXPECT_THAT(Refusal(CheckRequest(request, Limits())),
                HasSubstr("resume_tokens"));
  }
}

TEST(RequestChecksTest, RefusesMoreThanTheContext) {
  EXPECT_THAT(Refusal(CheckRequest(Generate(190, 11), Limits())),
              HasSubstr("prompt + max_tokens must be <= 200 tokens, the "
                        "context length; got 190 + 11 = 201"));
  EXPECT_THAT(Refusal(CheckRequest(
                  Generate(10, std::numeric_limits<int32_t>::max()), Limits())),
              HasSubstr("must be <= 200"));
}

TEST(RequestChecksTest, RefusesWhatTheCacheCanNeverHold) {
  EXPECT_THAT(Refusal(CheckRequest(Generate(124, 9), Limits())),
              HasSubstr("needs 33 entries of the cache, which can never hold "
                        "more than 32"));
}

TEST(RequestChecksTest, RefusesMoreResumedTokensThanAskedFor) {
  GenerateRequest request = Generate(4, 2);
  request.resume_tokens = {1, 2, 3};
  EXPECT_THAT(Refusal(CheckRequest(request, Limits())),
              HasSubstr("resume_tokens: must be at most max_tokens = 2"));
}

TEST(RequestChecksTest, ReportsParametersToo) {
  GenerateRequest request = Generate(0, 0);
  request.sampling.top_p = 2.0f;
  const std::string refusal = Refusal(CheckRequest(request, Limits()));
  EXPECT_THAT(refusal, HasSubstr("top_p"));
  EXPECT_THAT(refusal, HasSubstr("max_tokens"));
  EXPECT_THAT(refusal, HasSubstr("prompt"));
}

TEST(RequestChecksTest, ChecksScoring) {
  ScoreRequest request;
  request.request_id = "r";
  request.context = {1, 2};
  request.continuation = {3, 4};
  EXPECT_TRUE(CheckRequest(request, Limits()).ok());
  request.top_logprobs = 21;
  request.continuation = {};
  request.context = {-5};
  const std::string refusal = Refusal(CheckRequest(request, Limits()));
  EXPECT_THAT(refusal, HasSubstr("top_logprobs"));
  EXPECT_THAT(refusal, HasSubstr("continuation: must have at least one"));
  EXPECT_THAT(refusal, HasSubstr("context: token ids"));
  request.continuation.assign(300, 1);
  EXPECT_THAT(Refusal(CheckRequest(request, Limits())),
              HasSubstr("context + continuation must be <= 200"));
}

}  // namespace
}  // namespace blockserve
