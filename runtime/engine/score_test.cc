#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "runtime/engine/test_support.h"

namespace blockserve {
namespace {

using ::testing::SizeIs;

ScoreRequest ScoreOf(const GenerateRequest& generate,
                     std::vector<int32_t> continuation) {
  ScoreRequest request;
  request.request_id = absl::StrCat("score-", generate.request_id);
  request.context = generate.prompt;
  request.continuation = std::move(continuation);
  return request;
}

class ScoreTest : public testing::TestWithParam<int> {};

INSTANTIATE_TEST_SUITE_P(BlockLengths, ScoreTest, testing::Values(1, 2, 4, 8));

TEST_P(ScoreTest, AgreesWithTheLogprobsOfGeneration) {
  const int length = GetParam();
  CoreHarness harness(SmallModel(length));
  for (int num_prompt = 1; num_prompt <= 2 * length; ++num_prompt) {
    for (int num_new : {1, length, 3 * length + 1}) {
      GenerateRequest request =
          MakeRequest(absl::StrCat("r", num_prompt), num_prompt, num_new);
      request.sampling.logprobs = 1;
      const auto generated = harness.Add(request);
      harness.RunToEnd();
      const auto scored = harness.Add(ScoreOf(request, generated->tokens()));
      harness.RunToEnd();
      ASSERT_EQ(scored->tokens(), generated->tokens());
      ASSERT_THAT(scored->logprobs(), SizeIs(num_new));
      for (int i = 0; i < num_new; ++i) {
        ASSERT_EQ(scored->logprobs()[i].logprob,
                  generated->logprobs()[i].logprob);
        ASSERT_TRUE(scored->logprobs()[i].is_argmax);
        ASSERT_THAT(scored->logprobs()[i].top, SizeIs(1));
      }
      ASSERT_EQ(scored->result().completion_tokens, num_new);
      ASSERT_EQ(scored->result().prompt_tokens, num_prompt);
    }
  }
}

TEST_P(ScoreTest, TellsWhatGreedyWouldNotHaveWritten) {
  const int length = GetParam();
  CoreHarness harness(SmallModel(length));
  GenerateRequest request = MakeRequest("r", 5, 3 * length);
  std::vector<int32_t> tokens = harness.Run(request);
  const size_t changed = tokens.size() / 2;
  const int32_t greedy = tokens[changed];
  tokens[changed] = (tokens[changed] + 1) % 1000;
  ScoreRequest score = ScoreOf(request, tokens);
  score.top_logprobs = 4;
  const auto sink = harness.Add(score);
  harness.RunToEnd();
  for (size_t i = 0; i < changed; ++i) {
    EXPECT_TRUE(sink->logprobs()[i].is_argmax);
  }
  const TokenLogprobs logprobs = sink->logprobs()[changed];
  EXPECT_FALSE(logprobs.is_argmax);
  ASSERT_THAT(logprobs.top, SizeIs(4));
  EXPECT_EQ(logprobs.top[0].first, greedy);
  EXPECT_GT(logprobs.top[0].second, logprobs.logprob);
}

TEST_P(ScoreTest, IsTheSameAmongOthersAndInChunks) {
  const int length = GetParam();
  const auto logprobs_of = [&](int num_sequences, int num_others) {
    CoreHarness harness(SmallModel(length, num_sequences));
    const GenerateRequest request = MakeRequest("r", 3 * length + 1, 1);
    const std::vector<int32_t> continuation =
        MakeRequest("c", 20 * length - 1, 1).prompt;
    for (int i = 0; i < num_others; ++i) {
      harness.Add(MakeRequest(absl::StrCat("other", i), 9, 10 * length));
    }
    const auto sink = harness.Add(ScoreOf(request, continuation));
    harness.RunToEnd();
    EXPECT_EQ(sink->tokens(), continuation);
    std::vector<float> logprobs;
    for (const TokenLogprobs& each : sink->logprobs()) {
      logprobs.push_back(each.logprob);
    }
    return logprobs;
  };
  const std::vector<float> alone = logprobs_of(32, 0);
  EXPECT_EQ(logprobs_of(1, 0), alone);  // a row a step
  EXPECT_EQ(logprobs_of(8, 5), alone);
  EXPECT_EQ(logprobs_of(3, 9), alone);
}

TEST(ScoreTest, UsesAllRowsOfAStep) {
  CoreHarness harness(SmallModel(4, /*num_sequences=*/8));
  const GenerateRequest request = MakeRequest("r", 4, 1);
  const auto sink =
      harness.Add(ScoreOf(request, std::vector<int32_t>(16 * 4, 5)));
  harness.Step();
  EXPECT_THAT(sink->tokens(), SizeIs(8 * 4));
  harness.Step();
  EXPECT_TRUE(sink->is_done());
  EXPECT_EQ(sink->num_deltas(), 2);
}

TEST(ScoreTest, InvalidLogitsEndTheRequest) {
  FakeModelOptions options = SmallModel(4);
  options.is_invalid = [](const DecodeRow& row, int offset) {
    return row.sampling.position == 4 && offset == 1;
  };
  CoreHarness harness(options);
  const auto sink =
      harness.Add(ScoreOf(MakeRequest("r", 4, 1), std::vector<int32_t>(16, 5)));
  harness.RunToEnd();
  EXPECT_EQ(sink->result().status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(sink->tokens(), SizeIs(5));
}

}  // namespace
}  // namespace blockserve
