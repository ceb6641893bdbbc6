// A real model gives a request the same tokens alone and in any batch, and
// exactly as many as were asked for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/integration/model_engine.h"

namespace blockserve {
namespace {

using ::testing::SizeIs;

// fp32: a batch changes the order of sums, not more.
constexpr float kLogprobTolerance = 1e-4f;

struct Setup {
  std::string name;
  std::string directory;
  std::string backend;
  int max_new_tokens;
};

std::vector<Setup> Setups() {
  const std::string golden = "tests/testdata/golden/";
  std::vector<Setup> setups;
  for (const std::string& backend : HostBackends()) {
    setups.push_back({"main", golden + "a_main_b4_r2_hd32", backend, 40});
    setups.push_back({"vanilla", golden + "k_vanilla", backend, 20});
    setups.push_back(
        {"long_blocks", golden + "d8_block_length_8", backend, 40});
    // The reference backend takes its time with the trained model.
    if (backend == "reference") continue;
    setups.push_back({"demo_block", "models/demo-block", backend, 40});
  }
  return setups;
}

class EngineBatchingTest : public testing::TestWithParam<Setup> {};

INSTANTIATE_TEST_SUITE_P(All, EngineBatchingTest, testing::ValuesIn(Setups()),
                         [](const auto& info) {
                           return info.param.name + "_" + info.param.backend;
                         });

// Greedy and sampled, of mixed lengths, with and without penalties.
std::vector<GenerateRequest> MixedRequests(const Setup& setup, int vocab_size) {
  constexpr int kNumRequests = 64;
  std::vector<GenerateRequest> requests;
  for (int i = 0; i < kNumRequests; ++i) {
    const int num_prompt = 1 + (i * 7) % 41;
    GenerateRequest request =
        RandomPrompt(absl::StrCat("r", i), num_prompt, vocab_size, i + 1);
    SamplingParams& sampling = request.sampling;
    sampling.max_tokens = 1 + (i * 11) % setup.max_new_tokens;
    sampling.logprobs = 2;
    if (i % 2 == 1) {
      sampling.temperature = 0.6f + 0.1f * static_cast<float>(i % 5);
      sampling.seed = 1000 + i;
      if (i % 3 == 0) sampling.top_k = 30;
      if (i % 5 == 0) sampling.top_p = 0.9f;
      if (i % 7 == 0) sampling.repetition_penalty = 1.2f;
    }
    if (i % 4 == 0) sampling.ignore_eos = true;
    requests.push_back(std::move(request));
  }
  return requests;
}

TEST_P(EngineBatchingTest, ManyAtOnceEachGetWhatTheyGetAlone) {
  ModelEngine alone(GetParam().directory, GetParam().backend);
  ModelEngine together(GetParam().directory, GetParam().backend);
  const std::vector<GenerateRequest> requests =
      MixedRequests(GetParam(), alone.vocab_size());
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (const GenerateRequest& request : requests) {
    sinks.push_back(together.Submit(request));
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto expected = alone.Run(requests[i]);
    const RequestResult result = sinks[i]->Wait();
    ASSERT_TRUE(result.status.ok()) << result.status;
    EXPECT_EQ(result.finish_reason, expected->result().finish_reason);
    ASSERT_EQ(sinks[i]->tokens(), expected->tokens()) << "request " << i;
    const auto logprobs = sinks[i]->logprobs();
    const auto expected_logprobs = expected->logprobs();
    for (size_t j = 0; j < logprobs.size(); ++j) {
      ASSERT_NEAR(logprobs[j].logprob, expected_logprobs[j].logprob,
                  kLogprobTolerance);
    }
  }
  EXPECT_LT(together.engine().load().num_steps,
            alone.engine().load().num_steps / 8);
  together.engine().Drain(absl::InfiniteFuture());
  EXPECT_EQ(together.engine().load().pages_used, 0);
}

TEST_P(EngineBatchingTest, MeetsMaxTokensExactlyAtAnyPromptLength) {
  ModelEngine model(GetParam().directory, GetParam().backend);
  // Enough to meet every remainder, within the time of the slow ones.
  const int longest = std::min(3 * model.tokens_per_step(), 12);
  std::vector<std::pair<int, std::shared_ptr<RecordingSink>>> runs;
  for (int num_prompt = 1; num_prompt <= longest; ++num_prompt) {
    for (int max_tokens = 1; max_tokens <= longest; ++max_tokens) {
      GenerateRequest request =
          RandomPrompt(absl::StrCat(num_prompt, "-", max_tokens), num_prompt,
                       model.vocab_size(), num_prompt);
      request.sampling.max_tokens = max_tokens;
      request.sampling.ignore_eos = true;
      runs.push_back({max_tokens, model.Submit(request)});
    }
  }
  for (const auto& [max_tokens, sink] : runs) {
    EXPECT_TRUE(sink->Wait().status.ok());
    EXPECT_THAT(sink->tokens(), SizeIs(max_tokens));
    EXPECT_EQ(sink->result().finish_reason, FinishReason::kLength);
  }
}

TEST_P(EngineBatchingTest, ResumesAtAnyTokenAsIfUnbroken) {
  ModelEngine model(GetParam().directory, GetParam().backend);
  GenerateRequest request = RandomPrompt("whole", 6, model.vocab_size(), 3);
  request.sampling.max_tokens = 2 * model.tokens_per_step() + 3;
  request.sampling.temperature = 0.8f;
  request.sampling.frequency_penalty = 0.3f;
  request.sampling.ignore_eos = true;
  request.sampling.seed = 11;
  const std::vector<int32_t> tokens = model.Run(request)->tokens();
  for (size_t cut = 1; cut < tokens.size(); ++cut) {
    const auto middle = tokens.begin() + static_cast<int64_t>(cut);
    request.request_id = absl::StrCat("cut-", cut);
    request.resume_tokens.assign(tokens.begin(), middle);
    EXPECT_EQ(model.Run(request)->tokens(),
              std::vector<int32_t>(middle, tokens.end()))
        << "cut at " << cut;
  }
}

TEST_P(EngineBatchingTest, ScoresWhatItWroteAsItWroteIt) {
  ModelEngine model(GetParam().directory, GetParam().backend);
  GenerateRequest request = RandomPrompt("written", 9, model.vocab_size(), 4);
  request.sampling.max_tokens = 5 * model.tokens_per_step() + 1;
  request.sampling.ignore_eos = true;
  request.sampling.logprobs = 0;
  const auto written = model.Run(request);
  ScoreRequest score;
  score.request_id = "scored";
  score.context = request.prompt;
  score.continuation = written->tokens();
  const auto scored = model.Submit(score);
  ASSERT_TRUE(scored->Wait().status.ok());
  const auto logprobs = scored->logprobs();
  ASSERT_THAT(logprobs, SizeIs(score.continuation.size()));
  for (size_t i = 0; i < logprobs.size(); ++i) {
    EXPECT_TRUE(logprobs[i].is_argmax);
    EXPECT_NEAR(logprobs[i].logprob, written->logprobs()[i].logprob,
                kLogprobTolerance);
  }
}

}  // namespace
}  // namespace blockserve
