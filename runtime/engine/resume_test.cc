// A completion that is taken up after some of its tokens were delivered
// elsewhere goes on as if nothing had happened.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "runtime/engine/test_support.h"

namespace blockserve {
namespace {

using ::testing::IsEmpty;

using Tokens = std::vector<int32_t>;

Tokens Head(const Tokens& tokens, size_t count) {
  return {tokens.begin(), tokens.begin() + static_cast<int64_t>(count)};
}
Tokens Tail(const Tokens& tokens, size_t begin) {
  return {tokens.begin() + static_cast<int64_t>(begin), tokens.end()};
}

// Everything that depends on what came before.
GenerateRequest DemandingRequest(int num_prompt_tokens, int max_tokens) {
  GenerateRequest request = MakeRequest(absl::StrCat("r", num_prompt_tokens),
                                        num_prompt_tokens, max_tokens);
  request.sampling.temperature = 0.8f;
  request.sampling.seed = 5;
  request.sampling.frequency_penalty = 0.5f;
  request.sampling.min_tokens = max_tokens / 2;
  request.sampling.logprobs = 2;
  return request;
}

class ResumeTest : public testing::TestWithParam<int> {};

INSTANTIATE_TEST_SUITE_P(BlockLengths, ResumeTest, testing::Values(1, 2, 4, 8));

TEST_P(ResumeTest, FromEveryCutEqualsAnUnbrokenRun) {
  const int length = GetParam();
  FakeModelOptions options = SmallModel(length);
  options.vocab_size = 901;  // the prompts' ids are below
  options.eos_period = 20;
  CoreHarness harness(options);
  for (int num_prompt : {1, length, length + 1, 3 * length - 1}) {
    GenerateRequest request = DemandingRequest(num_prompt, 4 * length + 1);
    const auto whole = harness.Add(request);
    harness.RunToEnd();
    const Tokens tokens = whole->tokens();
    for (size_t cut = 0; cut <= tokens.size(); ++cut) {
      request.resume_tokens = Head(tokens, cut);
      const auto rest = harness.Add(request);
      harness.RunToEnd();
      ASSERT_EQ(rest->tokens(), Tail(tokens, cut)) << "cut at " << cut;
      ASSERT_EQ(rest->logprobs().size(), tokens.size() - cut);
      for (size_t i = cut; i < tokens.size(); ++i) {
        ASSERT_EQ(rest->logprobs()[i - cut].logprob,
                  whole->logprobs()[i].logprob);
      }
      const RequestResult result = rest->result();
      ASSERT_TRUE(result.status.ok());
      ASSERT_EQ(result.finish_reason, whole->result().finish_reason);
      ASSERT_EQ(result.matched_stop_token, whole->result().matched_stop_token);
      ASSERT_EQ(result.completion_tokens, static_cast<int>(tokens.size()));
    }
  }
}

TEST_P(ResumeTest, PrefillsWholeUnitsAndGivesTheRest) {
  const int length = GetParam();
  std::vector<int> num_forced;
  int num_units = 0;
  FakeModelOptions options = SmallModel(length);
  options.before_step = [&](int, const StepInput& input) {
    num_units += static_cast<int>(input.chunks[0].tokens.size()) / length;
    for (const DecodeRow& row : input.rows) {
      num_forced.push_back(row.sampling.num_forced);
    }
    return absl::OkStatus();
  };
  CoreHarness harness(options);
  GenerateRequest request = MakeRequest("r", 1, 8 * length);
  request.resume_tokens.assign(3 * length - 1, 5);
  harness.Add(request);
  harness.Step();
  const int num_whole = (3 * length - 1) / length;
  EXPECT_EQ(num_units, 1 + num_whole);
  ASSERT_FALSE(num_forced.empty());
  EXPECT_EQ(num_forced[0], 3 * length - 1 - num_whole * length);
  harness.RunToEnd();
}

TEST(ResumeTest, WhatIsCompleteEndsWithoutAStep) {
  CoreHarness harness(SmallModel(4));
  GenerateRequest request = MakeRequest("length", 3, 4);
  request.resume_tokens = {5, 6, 7, 8};
  const auto length = harness.Add(request);
  request = MakeRequest("stop", 3, 4);
  request.resume_tokens = {5, FakeModel::kEos};
  const auto stop = harness.Add(request);
  harness.RunToEnd();
  EXPECT_EQ(length->result().finish_reason, FinishReason::kLength);
  EXPECT_EQ(stop->result().finish_reason, FinishReason::kStop);
  EXPECT_EQ(stop->result().matched_stop_token, FakeModel::kEos);
  EXPECT_THAT(length->tokens(), IsEmpty());
  EXPECT_THAT(stop->tokens(), IsEmpty());
  EXPECT_EQ(harness.model().num_steps(), 0);
}

}  // namespace
}  // namespace blockserve
