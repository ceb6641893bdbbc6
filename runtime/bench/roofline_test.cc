#include "runtime/bench/roofline.h"

#include <gtest/gtest.h>

#include "runtime/config/published_models.h"

namespace blockserve {
namespace {

constexpr int kBf16 = 2;

ModelConfig Config(const char* name) { return *PublishedModelConfig(name); }

// The figures are those of an independent model of the same arithmetic.
TEST(RooflineTest, FlopOfATokenAgreeWithThePublishedModelsTable) {
  const struct {
    const char* name;
    double mflop;  // a token, 1152 tokens of context
  } kTable[] = {{"vanilla_31", 42},           {"vanilla_70", 103},
                {"vanilla_160", 290},         {"vanilla_410", 820},
                {"block_main_b4_5", 33},      {"block_main_b4_19", 81},
                {"block_main_b4_85", 207},    {"block_main_b4_300", 561},
                {"block_main_b4_800", 1423},  {"block_main_b4_1.2b", 2030},
                {"block_megabyte_b4_85", 119}};
  for (const auto& row : kTable) {
    const ModelConfig config = Config(row.name);
    const Work step = DecodeStepWork(config, kBf16, /*batch=*/1, 1152);
    EXPECT_NEAR(step.flop / config.tokens_per_step() * 1e-6, row.mflop, 0.51)
        << row.name;
  }
}

TEST(RooflineTest, ARowOfABlockStepOfTheMainModel) {
  const ModelConfig config = Config("block_main_b4_85");
  const Work one = DecodeStepWork(config, kBf16, 1, 1152);
  const Work two = DecodeStepWork(config, kBf16, 2, 1152);
  EXPECT_NEAR((two.flop - one.flop) * 1e-6, 826.64, 0.01);
  // 1.39 MB of keys and values a token.
  EXPECT_NEAR((two.bytes - one.bytes) / 4 * 1e-6, 1.392, 0.001);
  // Block decoder 85, expansion 2, token decoder 4 x 85, head 4 x 77 MB.
  EXPECT_NEAR((2 * one.bytes - two.bytes) * 1e-6, 736, 1);
}

TEST(RooflineTest, VanillaReadsItsWeightsOnceAndAllItsKeys) {
  const ModelConfig config = Config("vanilla_160");
  const Work one = DecodeStepWork(config, kBf16, 1, 1152);
  const Work two = DecodeStepWork(config, kBf16, 2, 1152);
  EXPECT_NEAR((two.bytes - one.bytes) * 1e-6, 42.467, 0.001);
  EXPECT_NEAR((2 * one.bytes - two.bytes) * 1e-6, 2 * (85.1 + 38.6), 0.2);
}

TEST(RooflineTest, Fp32DoublesTheBytesAlone) {
  const ModelConfig config = Config("block_main_b4_19");
  const Work bf16 = DecodeStepWork(config, 2, 8, 500);
  const Work fp32 = DecodeStepWork(config, 4, 8, 500);
  EXPECT_DOUBLE_EQ(fp32.flop, bf16.flop);
  EXPECT_DOUBLE_EQ(fp32.bytes, 2 * bf16.bytes);
}

TEST(RooflineTest, PromptsCostTheirLayersAndTheWeightsOncePerChunk) {
  const ModelConfig config = Config("block_main_b4_85");
  // 512 units; the first decode step runs the last of them.
  const BatchShape shape{.batch = 4, .prefill = 2048, .decode = 128};
  const Work work = PrefillWork(config, kBf16, shape);
  const double layers = 6 * 24.0 * 768 * 768;
  const double attention = 6 * 4.0 * 768 * 511 / 2;
  EXPECT_NEAR(work.flop, 4 * 511 * (layers + attention), 1e6);
  EXPECT_NEAR(work.bytes * 1e-6, 4 * 85.1, 0.2);
  EXPECT_EQ(PrefillWork(config, kBf16, {.batch = 4, .prefill = 3}).flop, 0);
}

TEST(RooflineTest, DecodingIsItsStepsAtTheMeanContext) {
  const ModelConfig config = Config("block_main_b4_85");
  const Work all =
      DecodeWork(config, kBf16, {.batch = 8, .prefill = 128, .decode = 2048});
  const Work step = DecodeStepWork(config, kBf16, 8, 1152);
  EXPECT_DOUBLE_EQ(all.flop, 512 * step.flop);
  EXPECT_DOUBLE_EQ(all.bytes, 512 * step.bytes);
}

TEST(RooflineTest, AShareIsTheTimeOfThePeaksOverTheTime) {
  const Work work{.flop = 4e12, .bytes = 30e9};
  EXPECT_DOUBLE_EQ(work.SecondsAt(2e12, 30e9), 3.0);
}

TEST(RooflineTest, OtherKindsOfModelsHaveNone) {
  ModelConfig config = Config("block_main_b4_5");
  EXPECT_TRUE(HasRoofline(config));
  config.embedder.kind = EmbedderKind::kRoberta;
  EXPECT_FALSE(HasRoofline(config));
}

}  // namespace
}  // namespace blockserve
