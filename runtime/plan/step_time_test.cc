#include "runtime/plan/step_time.h"

#include <gtest/gtest.h>

#include "runtime/config/published_models.h"

namespace blockserve {
namespace {

PlanAssumptions On(const char* gpu) {
  PlanAssumptions assumptions;
  assumptions.gpu = *FindGpu(gpu);
  return assumptions;
}

ModelConfig Config(const char* name) { return *PublishedModelConfig(name); }

// Seconds by an independent model of the same arithmetic, shared/roofline.py
// (step_hybrid): 1024 sequences, 1152 tokens of context, H100.
TEST(StepTimeTest, HybridsAgreeWithTheIndependentModel) {
  const struct {
    const char* name;
    int ranks;
    double seconds;
  } kTable[] = {{"block_main_b4_85", 2, 0.0019249428},
                {"block_main_b4_85", 4, 0.0013357880},
                {"block_main_b4_1.2b", 2, 0.0099928394},
                {"block_main_b4_1.2b", 4, 0.0059157640}};
  for (const auto& row : kTable) {
    const StepTime time = DecodeStepTime(
        Config(row.name), On("h100"), Sharing::kHybrid, row.ranks, 1024, 1152);
    EXPECT_NEAR(time.total(), row.seconds, 1e-9)
        << row.name << " x" << row.ranks;
  }
}

TEST(StepTimeTest, ARankAloneExchangesNothing) {
  const StepTime time = DecodeStepTime(Config("block_main_b4_85"), On("h100"),
                                       Sharing::kAlone, 1, 64, 1152);
  EXPECT_EQ(time.exchange, 0);
  EXPECT_GT(time.compute + time.memory, 0);
}

// The block model's 263 kernels for four tokens: 48 of the block decoder, three
// around it, and four passes of 53.
TEST(StepTimeTest, KernelsAreCountedWhateverTheirWork) {
  const StepTime time = DecodeStepTime(Config("block_main_b4_85"), On("h100"),
                                       Sharing::kAlone, 1, 1, 1152);
  EXPECT_NEAR(time.launch, 263 * 2e-6, 1e-12);
}

TEST(StepTimeTest, LessEfficiencyTakesLonger) {
  PlanAssumptions half = On("h100");
  half.efficiency = 0.5;
  const ModelConfig config = Config("block_main_b4_85");
  const StepTime whole =
      DecodeStepTime(config, On("h100"), Sharing::kAlone, 1, 512, 1152);
  const StepTime time =
      DecodeStepTime(config, half, Sharing::kAlone, 1, 512, 1152);
  EXPECT_DOUBLE_EQ(time.compute, 2 * whole.compute);
  EXPECT_DOUBLE_EQ(time.memory, 2 * whole.memory);
  EXPECT_DOUBLE_EQ(time.launch, whole.launch);
}

// 50304 logits of two bytes, written and read, four times a sequence.
TEST(StepTimeTest, FusedSamplingSavesTheLogitsWay) {
  PlanAssumptions fused = On("h100");
  fused.fuses_sampling = true;
  const ModelConfig config = Config("block_main_b4_5");
  const double apart =
      DecodeStepTime(config, On("h100"), Sharing::kAlone, 1, 4096, 1152)
          .total();
  const double together =
      DecodeStepTime(config, fused, Sharing::kAlone, 1, 4096, 1152).total();
  const double logits = 4.0 * 4096 * 50304 * 2 * 2 / 3.35e12;
  EXPECT_GT(apart - together, 0);
  // Without them it is FLOP that bound the head.
  EXPECT_LT(apart - together, logits);
}

TEST(StepTimeTest, UnknownGpusAreNamedWithTheKnown) {
  const absl::Status status = FindGpu("h1000").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("h200"), absl::string_view::npos);
}

}  // namespace
}  // namespace blockserve
