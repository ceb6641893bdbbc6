#include "runtime/engine/engine_core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/engine/test_support.h"

namespace blockserve {
namespace {

using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Optional;
using ::testing::SizeIs;

std::vector<int32_t> Prefix(const std::vector<int32_t>& tokens, size_t count) {
  return {tokens.begin(), tokens.begin() + static_cast<int64_t>(count)};
}

class BlockLengthTest : public testing::TestWithParam<int> {};

INSTANTIATE_TEST_SUITE_P(BlockLengths, BlockLengthTest,
                         testing::Values(1, 2, 4, 8));

TEST_P(BlockLengthTest, MeetsMaxTokensExactlyAtAnyPromptLength) {
  const int length = GetParam();
  CoreHarness harness(SmallModel(length));
  for (int num_prompt = 1; num_prompt <= 3 * length; ++num_prompt) {
    std::vector<int32_t> longest;
    for (int max_tokens = 3 * length; max_tokens >= 1; --max_tokens) {
      const auto sink = harness.Add(
          MakeRequest(absl::StrCat("p", num_prompt), num_prompt, max_tokens));
      harness.RunToEnd();
      const RequestResult result = sink->result();
      ASSERT_TRUE(result.status.ok());
      ASSERT_EQ(result.finish_reason, FinishReason::kLength);
      ASSERT_THAT(sink->tokens(), SizeIs(max_tokens));
      ASSERT_EQ(result.completion_tokens, max_tokens);
      ASSERT_EQ(result.prompt_tokens, num_prompt);
      // How many are asked for does not change what they are.
      if (longest.empty()) longest = sink->tokens();
      ASSERT_EQ(sink->tokens(), Prefix(longest, max_tokens));
    }
  }
}

TEST_P(BlockLengthTest, StopsAtEosInsideABlockAndDropsTheRest) {
  const int length = GetParam();
  FakeModelOptions options = SmallModel(length);
  CoreHarness plain(options);
  options.eos_period = 5;
  CoreHarness harness(options);
  int num_stopped = 0;
  for (int i = 0; i < 50; ++i) {
    GenerateRequest request = MakeRequest(absl::StrCat("r", i), 3, 4 * length);
    request.sampling.ignore_eos = true;
    const std::vector<int32_t> unstopped = harness.Run(request);
    request.sampling.ignore_eos = false;
    const auto sink = harness.Add(request);
    harness.RunToEnd();
    const auto eos =
        std::find(unstopped.begin(), unstopped.end(), FakeModel::kEos);
    if (eos == unstopped.end()) {
      EXPECT_EQ(sink->tokens(), unstopped);
      EXPECT_EQ(sink->result().finish_reason, FinishReason::kLength);
      EXPECT_EQ(sink->result().matched_stop_token, std::nullopt);
      continue;
    }
    ++num_stopped;
    const size_t num_tokens = eos - unstopped.begin() + 1;
    EXPECT_EQ(sink->tokens(), Prefix(unstopped, num_tokens));
    EXPECT_EQ(sink->result().finish_reason, FinishReason::kStop);
    EXPECT_THAT(sink->result().matched_stop_token, Optional(FakeModel::kEos));
    EXPECT_EQ(sink->result().completion_tokens, static_cast<int>(num_tokens));
  }
  EXPECT_GT(num_stopped, 5);
}

TEST_P(BlockLengthTest, StopsAtStopIdsAtEveryOffset) {
  const int length = GetParam();
  CoreHarness harness(SmallModel(length));
  GenerateRequest request = MakeRequest("r", 5, 3 * length);
  const std::vector<int32_t> unstopped = harness.Run(request);
  for (size_t i = 0; i < unstopped.size(); ++i) {
    request.sampling.stop_token_ids = {unstopped[i]};
    const auto sink = harness.Add(request);
    harness.RunToEnd();
    const size_t first =
        std::find(unstopped.begin(), unstopped.end(), unstopped[i]) -
        unstopped.begin();
    EXPECT_EQ(sink->tokens(), Prefix(unstopped, first + 1));
    EXPECT_THAT(sink->result().matched_stop_token, Optional(unstopped[i]));
  }
}

TEST_P(BlockLengthTest, MinTokensHoldBackEos) {
  const int length = GetParam();
  FakeModelOptions options = SmallModel(length);
  options.eos_period = 2;
  CoreHarness harness(options);
  for (int min_tokens = 0; min_tokens <= 3 * length; ++min_tokens) {
    GenerateRequest request =
        MakeRequest(absl::StrCat("r", min_tokens), 4, 6 * length);
    request.sampling.min_tokens = min_tokens;
    const std::vector<int32_t> tokens = harness.Run(request);
    ASSERT_GE(static_cast<int>(tokens.size()), std::max(1, min_tokens));
    for (int i = 0; i < min_tokens; ++i) {
      ASSERT_NE(tokens[i], FakeModel::kEos) << i << " of " << min_tokens;
    }
  }
}

TEST(EngineCoreTest, FeedsPaddingMaskPositionsAndSamplingPositions) {
  struct Seen {
    std::vector<int32_t> tokens;
    std::vector<uint8_t> mask;
    int unit_begin;
    uint64_t position;
  };
  std::vector<Seen> seen;
  FakeModelOptions options = SmallModel(4);
  options.before_step = [&](int, const StepInput& input) {
    const SequenceChunk& chunk = input.chunks[0];
    seen.push_back({{chunk.tokens.begin(), chunk.tokens.end()},
                    {chunk.token_mask.begin(), chunk.token_mask.end()},
                    chunk.unit_begin,
                    input.rows[0].sampling.position});
    return absl::OkStatus();
  };
  CoreHarness harness(options);
  GenerateRequest request = MakeRequest("r", 1, 9);
  request.prompt = {20, 21, 22, 23, 24};
  const std::vector<int32_t> tokens = harness.Run(request);
  ASSERT_THAT(seen, SizeIs(3));
  constexpr int32_t kPad = FakeModel::kPromptPad;
  EXPECT_THAT(seen[0].tokens,
              ElementsAre(kPad, kPad, kPad, 20, 21, 22, 23, 24));
  EXPECT_THAT(seen[0].mask, ElementsAre(0, 0, 0, 1, 1, 1, 1, 1));
  EXPECT_EQ(seen[0].position, 0u);
  EXPECT_EQ(seen[1].tokens, Prefix(tokens, 4));
  EXPECT_THAT(seen[1].mask, IsEmpty());
  EXPECT_EQ(seen[1].unit_begin, 2);
  EXPECT_EQ(seen[1].position, 4u);
  EXPECT_EQ(seen[2].unit_begin, 3);
  EXPECT_EQ(seen[2].position, 8u);
}

TEST(EngineCoreTest, ComputesNoMoreTokensThanTheLongestRowNeeds) {
  int num_tokens = 0;
  FakeModelOptions options = SmallModel(8);
  options.before_step = [&](int, const StepInput& input) {
    num_tokens = input.num_tokens;
    return absl::OkStatus();
  };
  CoreHarness harness(options);
  harness.Run(MakeRequest("short", 8, 3));
  EXPECT_EQ(num_tokens, 3);
  harness.Add(MakeRequest("a", 8, 3));
  harness.Add(MakeRequest("b", 8, 5));
  harness.RunToEnd();
  EXPECT_EQ(num_tokens, 5);
}

TEST(EngineCoreTest, CountsWhatIsComputedInVain) {
  CoreHarness harness(SmallModel(8));
  harness.Add(MakeRequest("a", 8, 3));
  harness.Add(MakeRequest("b", 8, 5));
  harness.Step();
  ASSERT_THAT(harness.steps, SizeIs(1));
  EXPECT_EQ(harness.steps[0].wasted_tokens, 2);
  EXPECT_EQ(harness.steps[0].num_rows, 2);
  EXPECT_EQ(harness.steps[0].num_sequences, 2);
  EXPECT_EQ(harness.steps[0].num_prompt_units, 2);
}

TEST(EngineCoreTest, ReportsLogprobsOnlyWhereAskedFor) {
  CoreHarness harness(SmallModel(4));
  GenerateRequest request = MakeRequest("r", 5, 7);
  const auto silent = harness.Add(request);
  request.sampling.logprobs = 0;
  const auto bare = harness.Add(request);
  request.sampling.logprobs = 3;
  const auto full = harness.Add(request);
  harness.RunToEnd();

  EXPECT_THAT(silent->logprobs(), IsEmpty());
  ASSERT_THAT(bare->logprobs(), SizeIs(7));
  ASSERT_THAT(full->logprobs(), SizeIs(7));
  for (int i = 0; i < 7; ++i) {
    EXPECT_THAT(bare->logprobs()[i].top, IsEmpty());
    const TokenLogprobs logprobs = full->logprobs()[i];
    ASSERT_THAT(logprobs.top, SizeIs(3));
    EXPECT_TRUE(logprobs.is_argmax);
    EXPECT_EQ(logprobs.top[0].first, full->tokens()[i]);
    EXPECT_EQ(logprobs.top[0].second, logprobs.logprob);
    EXPECT_EQ(bare->logprobs()[i].logprob, logprobs.logprob);
    EXPECT_GT(logprobs.top[0].second, logprobs.top[1].second);
  }
}

TEST(EngineCoreTest, SeedsMakeSamplingRepeatableAndAreReported) {
  CoreHarness harness(SmallModel(4));
  GenerateRequest request = MakeRequest("r", 5, 12);
  request.sampling.temperature = 1.0f;
  request.sampling.seed = 7;
  const std::vector<int32_t> tokens = harness.Run(request);
  EXPECT_EQ(harness.Run(request), tokens);
  request.sampling.seed = 8;
  EXPECT_THAT(harness.Run(request), Not(Eq(tokens)));

  request.sampling.seed.reset();
  const auto sink = harness.Add(request);
  harness.RunToEnd();
  request.sampling.seed = sink->result().seed;
  EXPECT_EQ(harness.Run(request), sink->tokens());
}

TEST(EngineCoreTest, EndsOnlyTheRequestWithInvalidLogits) {
  FakeModelOptions options = SmallModel(4);
  options.is_invalid = [](const DecodeRow& row, int offset) {
    return row.sampling.seed == 13 && row.sampling.position + offset == 6;
  };
  CoreHarness harness(options);
  GenerateRequest request = MakeRequest("r", 5, 12);
  request.sampling.seed = 12;
  const auto good = harness.Add(request);
  request.sampling.seed = 13;
  const auto bad = harness.Add(request);
  harness.RunToEnd();
  EXPECT_TRUE(good->result().status.ok());
  EXPECT_THAT(good->tokens(), SizeIs(12));
  EXPECT_EQ(bad->result().status.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(bad->tokens(), Prefix(good->tokens(), 6));
}

TEST(EngineCoreTest, AbortsInEveryStateWithinOneStep) {
  FakeModelOptions options = SmallModel(4, /*num_sequences=*/2);
  CoreHarness harness(options);
  ActiveRequest* prefilling = nullptr;
  ActiveRequest* decoding = nullptr;
  ActiveRequest* waiting = nullptr;
  const auto decoding_sink =
      harness.Add(MakeRequest("decoding", 4, 40), &decoding);
  harness.Step();
  const auto prefilling_sink =
      harness.Add(MakeRequest("prefilling", 80, 40), &prefilling);
  const auto waiting_sink =
      harness.Add(MakeRequest("waiting", 4, 40), &waiting);
  harness.Step();
  ASSERT_EQ(harness.core().load().num_running, 2);
  ASSERT_EQ(harness.core().load().num_waiting, 1);
  ASSERT_GT(prefilling->units_ready(), 1);

  const auto is_cancelled = [](const RecordingSink& sink) {
    return sink.is_done() &&
           sink.result().status.code() == absl::StatusCode::kCancelled;
  };
  prefilling->RequestCancel();
  harness.Step();
  EXPECT_TRUE(is_cancelled(*prefilling_sink));
  EXPECT_EQ(harness.core().load().num_running, 2);  // the waiting one came in
  waiting->RequestCancel();
  decoding->RequestCancel();
  harness.Step();
  EXPECT_TRUE(is_cancelled(*waiting_sink));
  EXPECT_TRUE(is_cancelled(*decoding_sink));
  EXPECT_EQ(harness.core().load().pages_used, 0);
  EXPECT_TRUE(harness.core().empty());
}

TEST(EngineCoreTest, AnAbortInTheStepThatFinishesComesTooLate) {
  ActiveRequest* active = nullptr;
  FakeModelOptions options = SmallModel(4);
  options.before_step = [&](int, const StepInput&) {
    active->RequestCancel();
    return absl::OkStatus();
  };
  CoreHarness harness(options);
  const auto sink = harness.Add(MakeRequest("r", 4, 4), &active);
  harness.RunToEnd();
  EXPECT_TRUE(sink->result().status.ok());
  EXPECT_THAT(sink->tokens(), SizeIs(4));
}

TEST(EngineCoreTest, DeadlinesSayWhereTheyPassed) {
  CoreHarness harness(SmallModel(4, /*num_sequences=*/1));
  GenerateRequest request = MakeRequest("running", 4, 40);
  request.deadline = harness.now + absl::Seconds(5);
  const auto running = harness.Add(request);
  request = MakeRequest("waiting", 4, 40);
  request.deadline = harness.now + absl::Seconds(3);
  const auto waiting = harness.Add(request);
  harness.Step();
  harness.now += absl::Seconds(3);
  harness.Step();
  ASSERT_TRUE(waiting->is_done());
  EXPECT_EQ(waiting->result().status.code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(waiting->result().status.ToString(), HasSubstr("queue"));
  EXPECT_EQ(waiting->result().timings.queue, absl::Seconds(3));
  EXPECT_FALSE(running->is_done());
  harness.now += absl::Seconds(2);
  harness.Step();
  ASSERT_TRUE(running->is_done());
  EXPECT_EQ(running->result().status.code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(running->result().status.ToString(), HasSubstr("running"));
  EXPECT_EQ(running->result().completion_tokens, 8);
  harness.RunToEnd();
}

TEST(EngineCoreTest, TimesTheStagesOfARequest) {
  FakeModelOptions options = SmallModel(4, /*num_sequences=*/1);
  absl::Time* clock = nullptr;
  options.before_step = [&](int, const StepInput&) {
    *clock += absl::Seconds(1);
    return absl::OkStatus();
  };
  CoreHarness harness(options);
  clock = &harness.now;
  harness.Add(MakeRequest("first", 4, 8));  // two steps
  // A step for each two units of the prompt; then two more.
  const auto sink = harness.Add(MakeRequest("second", 16, 12));
  harness.RunToEnd();
  const RequestTimings timings = sink->result().timings;
  EXPECT_EQ(timings.queue, absl::Seconds(2));
  EXPECT_EQ(timings.prefill, absl::Seconds(2));
  EXPECT_EQ(timings.first_token, absl::Seconds(4));
  EXPECT_EQ(timings.total, absl::Seconds(6));
}

TEST(EngineCoreTest, AFailureOfTheModelEndsEverything) {
  FakeModelOptions options = SmallModel(4, /*num_sequences=*/1);
  options.before_step = [](int step, const StepInput&) {
    return step == 2 ? absl::InternalError("lost device") : absl::OkStatus();
  };
  CoreHarness harness(options);
  const auto running = harness.Add(MakeRequest("running", 4, 40));
  const auto waiting = harness.Add(MakeRequest("waiting", 4, 40));
  harness.RunToEnd();
  EXPECT_EQ(running->result().status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(running->result().completion_tokens, 8);
  EXPECT_EQ(waiting->result().status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(harness.core().health().ToString(), HasSubstr("lost device"));
  const auto late = harness.Add(MakeRequest("late", 4, 40));
  harness.RunToEnd();
  EXPECT_EQ(late->result().status.code(), absl::StatusCode::kInternal);
}

TEST(EngineCoreTest, PenaltiesSeePromptAndOutput) {
  std::vector<TokenCount> history;
  FakeModelOptions options = SmallModel(2);
  options.before_step = [&](int, const StepInput& input) {
    history.assign(input.rows[0].sampling.history.begin(),
                   input.rows[0].sampling.history.end());
    return absl::OkStatus();
  };
  CoreHarness harness(options);
  GenerateRequest request = MakeRequest("r", 2, 4);
  request.prompt = {7, 7};
  request.sampling.frequency_penalty = 0.5f;
  const std::vector<int32_t> tokens = harness.Run(request);
  // As of the second unit.
  int num_output = 0;
  for (const TokenCount& count : history) {
    EXPECT_EQ(count.in_prompt, count.id == 7);
    EXPECT_EQ(count.output_count,
              std::count(tokens.begin(), tokens.begin() + 2, count.id));
    num_output += count.output_count;
  }
  EXPECT_EQ(num_output, 2);
}

}  // namespace
}  // namespace blockserve
