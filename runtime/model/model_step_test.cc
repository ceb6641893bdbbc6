// What a step promises, for every family: the committed golden checkpoints are
// run in ways that must not change a result.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernels/reference/reference_ops.h"
#include "runtime/model/model.h"
#include "runtime/model/testing/generate.h"

namespace blockserve {
namespace {

// Sums in another order: a few units in the last place of logits near 10.
constexpr float kTolerance = 5e-5f;

std::vector<std::string> GoldenCases() {
  std::vector<std::string> names;
  for (const auto& entry :
       std::filesystem::directory_iterator("tests/testdata/golden")) {
    if (entry.is_directory()) names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class ModelStepTest : public ::testing::TestWithParam<std::string> {
 protected:
  ModelStepTest() {
    options_.limits = {.max_units_per_step = 64,
                       .max_rows_per_step = 16,
                       .max_sequences_per_step = 8,
                       .max_units_per_sequence = 48,
                       .num_pages = 24};
  }

  std::unique_ptr<Model> Load() {
    auto model =
        LoadModel("tests/testdata/golden/" + GetParam(), options_, *ops_);
    EXPECT_TRUE(model.ok()) << model.status();
    return model.ok() ? *std::move(model) : nullptr;
  }

  // A prompt of whole units whose first `num_masked` tokens are padding.
  static TestPrompt Prompt(const Model& model, int num_units, uint32_t seed,
                           int num_masked = 0) {
    TestPrompt prompt;
    prompt.tokens = RandomTokens(num_units * model.tokens_per_step(),
                                 model.config().vocab_size, seed);
    if (num_masked > 0) {
      prompt.mask.assign(prompt.tokens.size(), 1);
      std::fill_n(prompt.mask.begin(), num_masked, uint8_t{0});
    }
    return prompt;
  }

  static std::vector<Generated> MustGenerate(
      Model& model, const std::vector<TestPrompt>& prompts,
      const GenerateOptions& options = {}) {
    auto generated = Generate(model, prompts, options);
    EXPECT_TRUE(generated.ok()) << generated.status();
    return generated.ok() ? *std::move(generated)
                          : std::vector<Generated>(prompts.size());
  }

  static void ExpectSame(const Generated& a, const Generated& b) {
    EXPECT_FALSE(a.tokens.empty());
    EXPECT_EQ(a.tokens, b.tokens);
    EXPECT_THAT(a.logprobs, ::testing::Pointwise(
                                ::testing::FloatNear(kTolerance), b.logprobs));
  }

  ModelOptions options_;
  std::unique_ptr<Ops> ops_ = CreateReferenceOps(DType::kFloat32);
};

TEST_P(ModelStepTest, BatchDoesNotChangeASequence) {
  const auto model = Load();
  ASSERT_NE(model, nullptr);
  const std::vector<TestPrompt> prompts = {
      Prompt(*model, 5, 1), Prompt(*model, 1, 2), Prompt(*model, 19, 3)};
  const auto together = MustGenerate(*model, prompts);
  for (size_t i = 0; i < prompts.size(); ++i) {
    ExpectSame(together[i], MustGenerate(*model, {prompts[i]})[0]);
  }
}

TEST_P(ModelStepTest, ChunksOfAPromptAreAsOne) {
  const auto model = Load();
  ASSERT_NE(model, nullptr);
  // While the first prompt is still prefilled, the second one decodes.
  const std::vector<TestPrompt> prompts = {Prompt(*model, 18, 4),
                                           Prompt(*model, 2, 5)};
  const auto whole = MustGenerate(*model, prompts);
  const auto chunked = MustGenerate(*model, prompts, {.chunk_units = 5});
  ExpectSame(chunked[0], whole[0]);
  ExpectSame(chunked[1], whole[1]);
}

TEST_P(ModelStepTest, PagesMayLieAnywhere) {
  const auto model = Load();
  ASSERT_NE(model, nullptr);
  const std::vector<TestPrompt> prompts = {Prompt(*model, 33, 6),
                                           Prompt(*model, 15, 7)};
  const auto in_order = MustGenerate(*model, prompts, {.chunk_units = 20});
  const auto scattered =
      MustGenerate(*model, prompts, {.chunk_units = 20, .scatter_pages = true});
  ExpectSame(scattered[0], in_order[0]);
  ExpectSame(scattered[1], in_order[1]);
}

TEST_P(ModelStepTest, ShortcutsDoNotChangeResults) {
  const auto model = Load();
  std::map<std::string, int> num_shown;
  options_.observer = [&](std::string_view name, const TensorView&) {
    ++num_shown[std::string(name)];
  };
  const auto observed = Load();
  ASSERT_NE(model, nullptr);
  ASSERT_NE(observed, nullptr);
  const std::vector<TestPrompt> prompts = {Prompt(*model, 9, 8),
                                           Prompt(*model, 3, 9)};
  const auto plain = MustGenerate(*model, prompts, {.chunk_units = 4});
  const auto whole = MustGenerate(*observed, prompts, {.chunk_units = 4});
  ExpectSame(plain[0], whole[0]);
  ExpectSame(plain[1], whole[1]);
  EXPECT_GT(num_shown["logits"], 0);
}

TEST_P(ModelStepTest, FewerTokensAreTheFirstOnes) {
  const auto model = Load();
  ASSERT_NE(model, nullptr);
  const std::vector<TestPrompt> prompts = {Prompt(*model, 3, 10)};
  const Generated all = MustGenerate(*model, prompts, {.num_units = 1})[0];
  const Generated first =
      MustGenerate(*model, prompts, {.num_units = 1, .num_tokens = 1})[0];
  ASSERT_EQ(first.tokens.size(), 1u);
  EXPECT_EQ(first.tokens[0], all.tokens[0]);
  EXPECT_NEAR(first.logprobs[0], all.logprobs[0], kTolerance);
}

TEST_P(ModelStepTest, UnitsWithoutTokensAreSeenByNobody) {
  const auto model = Load();
  ASSERT_NE(model, nullptr);
  const int length = model->tokens_per_step();
  for (int masked_unit : {0, 2}) {
    TestPrompt prompt = Prompt(*model, 5, 11);
    prompt.mask.assign(prompt.tokens.size(), 1);
    std::fill_n(prompt.mask.begin() + masked_unit * length, length, uint8_t{0});
    TestPrompt other = prompt;
    const auto ids = RandomTokens(length, model->config().vocab_size, 12);
    std::copy(ids.begin(), ids.end(),
              other.tokens.begin() + masked_unit * length);
    const auto result = MustGenerate(*model, {prompt});
    ExpectSame(result[0], MustGenerate(*model, {other})[0]);
    // Split where the unit is, so that its step ends or begins with it.
    ExpectSame(result[0], MustGenerate(*model, {prompt},
                                       {.chunk_units = masked_unit + 1})[0]);
    prompt.mask.clear();
    EXPECT_NE(result[0].logprobs, MustGenerate(*model, {prompt})[0].logprobs);
  }
}

// One step that scores `forced` as the unit after `prompt`.
std::vector<float> Score(Model& model, const std::vector<int32_t>& prompt,
                         const std::vector<int32_t>& forced,
                         const std::vector<uint8_t>& mask) {
  const std::vector<int32_t> pages = {0, 1, 2};
  SequenceChunk chunk;
  chunk.tokens = prompt;
  chunk.pages = pages;
  chunk.num_outputs = 1;
  DecodeRow row;
  row.sampling.num_logprobs = 0;
  row.sampling.num_forced = static_cast<int32_t>(forced.size());
  row.forced_tokens = forced;
  row.forced_mask = mask;
  const auto output =
      model.Step({absl::MakeConstSpan(&chunk, 1), absl::MakeConstSpan(&row, 1),
                  model.tokens_per_step()});
  EXPECT_TRUE(output.ok()) << output.status();
  if (!output.ok()) return {};
  EXPECT_TRUE(std::equal(forced.begin(), forced.end(), output->tokens.begin()));
  return {output->logprobs.begin(), output->logprobs.end()};
}

TEST_P(ModelStepTest, ForcedTokensAreScored) {
  const auto model = Load();
  ASSERT_NE(model, nullptr);
  const TestPrompt prompt = Prompt(*model, 4, 13);
  const Generated generated =
      MustGenerate(*model, {prompt}, {.num_units = 1})[0];
  EXPECT_THAT(Score(*model, prompt.tokens, generated.tokens, {}),
              ::testing::Pointwise(::testing::FloatNear(kTolerance),
                                   generated.logprobs));
}

TEST_P(ModelStepTest, HiddenForcedTokensDoNotMatterLater) {
  const auto model = Load();
  ASSERT_NE(model, nullptr);
  const int length = model->tokens_per_step();
  if (length < 3) return;
  const std::vector<int32_t> prompt = Prompt(*model, 4, 14).tokens;
  std::vector<int32_t> forced = Prompt(*model, 1, 15).tokens;
  std::vector<uint8_t> mask(length, 1);
  mask[0] = 0;
  const std::vector<float> hidden = Score(*model, prompt, forced, mask);
  const std::vector<float> visible = Score(*model, prompt, forced, {});
  ASSERT_EQ(hidden.size(), static_cast<size_t>(length));
  forced[0] = forced[0] % 100 + 1;
  const std::vector<float> other = Score(*model, prompt, forced, mask);
  // The position right behind it is computed from it; those after are not.
  for (int offset = 2; offset < length; ++offset) {
    EXPECT_NEAR(other[offset], hidden[offset], kTolerance);
    EXPECT_GT(std::abs(visible[offset] - hidden[offset]), kTolerance);
  }
}

TEST_P(ModelStepTest, AnOutputAfterEveryUnit) {
  const auto model = Load();
  ASSERT_NE(model, nullptr);
  const int length = model->tokens_per_step();
  const std::vector<int32_t> tokens = Prompt(*model, 6, 16).tokens;
  const std::vector<int32_t> pages = {3};
  SequenceChunk chunk;
  chunk.tokens = tokens;
  chunk.pages = pages;
  chunk.num_outputs = 4;
  std::vector<DecodeRow> rows(4);
  for (DecodeRow& row : rows) row.sampling.num_logprobs = 0;
  const auto output =
      model->Step({absl::MakeConstSpan(&chunk, 1), rows, length});
  ASSERT_TRUE(output.ok()) << output.status();
  const std::vector<float> logprobs(output->logprobs.begin(),
                                    output->logprobs.end());
  for (int i = 0; i < 4; ++i) {
    const int num_units = 3 + i;
    const Generated alone = MustGenerate(
        *model, {{{tokens.begin(), tokens.begin() + num_units * length}, {}}},
        {.num_units = 1})[0];
    for (int offset = 0; offset < length; ++offset) {
      EXPECT_NEAR(logprobs[i * length + offset], alone.logprobs[offset],
                  kTolerance);
    }
  }
}

TEST_P(ModelStepTest, RunsInBFloat16) {
  const auto model = Load();
  const auto ops = CreateReferenceOps(DType::kBFloat16);
  auto rounded =
      LoadModel("tests/testdata/golden/" + GetParam(), options_, *ops);
  ASSERT_NE(model, nullptr);
  ASSERT_TRUE(rounded.ok()) << rounded.status();
  const std::vector<int32_t> prompt = Prompt(*model, 6, 17).tokens;
  const std::vector<int32_t> forced = Prompt(*model, 1, 18).tokens;
  const std::vector<float> exact = Score(*model, prompt, forced, {});
  // FORMAT.md section 9: log-probabilities within 0.3.
  EXPECT_THAT(Score(**rounded, prompt, forced, {}),
              ::testing::Pointwise(::testing::FloatNear(0.3f), exact));
}

INSTANTIATE_TEST_SUITE_P(Golden, ModelStepTest,
                         ::testing::ValuesIn(GoldenCases()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace blockserve
