// What a request gets does not depend on who shares its batch.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/test_support.h"

namespace blockserve {
namespace {

GenerateRequest RandomRequest(int index, int length, std::mt19937& random) {
  const auto pick = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  GenerateRequest request = MakeRequest(
      absl::StrCat("r", index), pick(1, 12 * length), pick(1, 8 * length));
  SamplingParams& sampling = request.sampling;
  if (pick(0, 1) == 0) {
    sampling.temperature = 0.7f;
    sampling.top_k = 20;
    sampling.seed = random();
  }
  if (pick(0, 2) == 0) sampling.presence_penalty = 0.5f;
  if (pick(0, 3) == 0) sampling.min_tokens = pick(0, sampling.max_tokens);
  if (pick(0, 3) == 0) sampling.ignore_eos = true;
  if (pick(0, 3) == 0) sampling.logprobs = pick(0, 5);
  if (pick(0, 3) == 0) sampling.logit_bias = {{pick(0, 899), 2.0f}};
  if (pick(0, 3) == 0) sampling.stop_token_ids = {pick(0, 899), pick(0, 899)};
  return request;
}

class EngineBatchingTest : public testing::TestWithParam<int> {};

INSTANTIATE_TEST_SUITE_P(BlockLengths, EngineBatchingTest,
                         testing::Values(1, 2, 4, 8));

TEST_P(EngineBatchingTest, AloneAndInAnyBatchTheTokensAreTheSame) {
  constexpr int kNumRequests = 300;
  const int length = GetParam();
  FakeModelOptions model_options = SmallModel(length, /*num_sequences=*/16);
  model_options.eos_period = 30;
  EngineOptions options;
  options.max_waiting_requests = kNumRequests;

  std::mt19937 random(length);
  std::vector<GenerateRequest> requests;
  std::vector<std::vector<int32_t>> tokens_alone;
  std::vector<RequestResult> results_alone;
  CoreHarness alone(model_options, options);
  for (int i = 0; i < kNumRequests; ++i) {
    requests.push_back(RandomRequest(i, length, random));
    const auto sink = alone.Add(requests.back());
    alone.RunToEnd();
    tokens_alone.push_back(sink->tokens());
    results_alone.push_back(sink->result());
  }

  for (int round = 0; round < 3; ++round) {
    std::vector<int> order(kNumRequests);
    for (int i = 0; i < kNumRequests; ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), random);
    auto owned = std::make_unique<FakeModel>(model_options);
    const FakeModel* model = owned.get();
    auto engine = Engine::Create(std::move(owned), options);
    std::vector<std::shared_ptr<RecordingSink>> sinks(kNumRequests);
    for (int i : order) {
      sinks[i] = std::make_shared<RecordingSink>();
      ASSERT_TRUE(engine->Generate(requests[i], sinks[i]).ok());
    }
    for (int i = 0; i < kNumRequests; ++i) {
      const RequestResult result = sinks[i]->Wait();
      ASSERT_TRUE(result.status.ok()) << result.status;
      ASSERT_EQ(sinks[i]->tokens(), tokens_alone[i]) << "request " << i;
      ASSERT_EQ(result.finish_reason, results_alone[i].finish_reason);
      ASSERT_EQ(result.matched_stop_token, results_alone[i].matched_stop_token);
    }
    engine->Drain(absl::InfiniteFuture());
    EXPECT_EQ(engine->load().pages_used, 0);
    EXPECT_TRUE(model->CheckAll().ok()) << model->CheckAll();
    // They did share steps.
    EXPECT_LT(engine->load().num_steps,
              static_cast<uint64_t>(alone.model().num_steps()));
  }
}

}  // namespace
}  // namespace blockserve
