#include "runtime/sampling/sampling_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace blockserve {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int32_t kEos = 0;

SamplingState State(const SamplingParams& params) {
  return SamplingState(params, /*seed=*/7, kEos, {1, 2, 2});
}

TEST(SamplingStateTest, HandsOnWhatTheClientAskedFor) {
  SamplingParams params;
  params.temperature = 0.5f;
  params.top_k = 40;
  params.top_p = 0.9f;
  params.min_p = 0.1f;
  params.logprobs = 3;
  params.logit_bias = {{4, 1.5f}, {9, -2.0f}};
  const SamplingState state = State(params);
  const SampleRow row = state.Row(/*position=*/8, /*num_forced=*/2);
  EXPECT_EQ(row.temperature, 0.5f);
  EXPECT_EQ(row.top_k, 40);
  EXPECT_EQ(row.top_p, 0.9f);
  EXPECT_EQ(row.min_p, 0.1f);
  EXPECT_EQ(row.num_logprobs, 3);
  EXPECT_EQ(row.seed, 7u);
  EXPECT_EQ(row.position, 8u);
  EXPECT_EQ(row.num_forced, 2);
  EXPECT_THAT(row.bias_ids, ElementsAre(4, 9));
  EXPECT_THAT(row.bias_values, ElementsAre(1.5f, -2.0f));
}

TEST(SamplingStateTest, GreedyResetsWhatItDoesNotUse) {
  for (float temperature : {0.0f, 1e-6f}) {
    SamplingParams params;
    params.temperature = temperature;
    params.top_k = 40;
    params.top_p = 0.9f;
    params.min_p = 0.1f;
    const SamplingState state = State(params);
    const SampleRow row = state.Row(0, 0);
    EXPECT_EQ(row.temperature, 0.0f);
    EXPECT_EQ(row.top_k, 0);
    EXPECT_EQ(row.top_p, 1.0f);
    EXPECT_EQ(row.min_p, 0.0f);
  }
}

TEST(SamplingStateTest, TopKOfMinusOneIsOff) {
  SamplingParams params;
  params.top_k = -1;
  EXPECT_EQ(State(params).Row(0, 0).top_k, 0);
}

TEST(SamplingStateTest, MinTokensBanEosAndStopIdsUntilTheyAreReached) {
  SamplingParams params;
  params.min_tokens = 6;
  params.stop_token_ids = {5, 3, 5};
  const SamplingState state = State(params);
  EXPECT_THAT(state.Row(0, 0).banned_ids, ElementsAre(kEos, 5, 3));
  EXPECT_EQ(state.Row(0, 0).ban_until_offset, 6);
  EXPECT_EQ(state.Row(4, 0).ban_until_offset, 2);
  EXPECT_EQ(state.Row(8, 0).ban_until_offset, 0);
  EXPECT_THAT(state.Row(8, 0).banned_ids, IsEmpty());
}

TEST(SamplingStateTest, StopsAtEosAndStopIds) {
  SamplingParams params;
  params.stop_token_ids = {5};
  const SamplingState state = State(params);
  EXPECT_TRUE(state.IsStop(kEos));
  EXPECT_TRUE(state.IsStop(5));
  EXPECT_FALSE(state.IsStop(1));
}

TEST(SamplingStateTest, AnIgnoredEosNeitherStopsNorIsBanned) {
  SamplingParams params;
  params.ignore_eos = true;
  params.min_tokens = 4;
  params.stop_token_ids = {5};
  const SamplingState state = State(params);
  EXPECT_FALSE(state.IsStop(kEos));
  EXPECT_THAT(state.Row(0, 0).banned_ids, ElementsAre(5));
}

TEST(SamplingStateTest, KeepsAHistoryOnlyForPenalties) {
  EXPECT_THAT(State({}).Row(0, 0).history, IsEmpty());
  for (int i = 0; i < 3; ++i) {
    SamplingParams params;
    if (i == 0) params.repetition_penalty = 1.1f;
    if (i == 1) params.frequency_penalty = 0.1f;
    if (i == 2) params.presence_penalty = -0.1f;
    SamplingState state = State(params);
    EXPECT_THAT(state.Row(0, 0).history, SizeIs(2));
    state.Record(2);
    state.Record(8);
    const SampleRow row = state.Row(2, 0);
    ASSERT_THAT(row.history, SizeIs(3));
    EXPECT_EQ(row.history[1].output_count, 1);
    EXPECT_TRUE(row.history[1].in_prompt);
  }
}

TEST(SamplingStateTest, RandomSeedsDiffer) {
  std::set<uint64_t> seeds;
  for (int i = 0; i < 100; ++i) seeds.insert(RandomSeed());
  EXPECT_THAT(seeds, SizeIs(100));
}

}  // namespace
}  // namespace blockserve
