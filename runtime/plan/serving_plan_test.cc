#include "runtime/plan/serving_plan.h"

#include <gtest/gtest.h>

#include <string>

#include "runtime/config/published_models.h"
#include "runtime/plan/gpu_spec.h"

namespace blockserve {
namespace {

PlanOptions Options(const char* gpu, int num_gpus, int prompt, int new_tokens) {
  PlanOptions options;
  options.assumptions.gpu = *FindGpu(gpu);
  options.num_gpus = num_gpus;
  options.prompt_tokens = prompt;
  options.new_tokens = new_tokens;
  return options;
}

ServingPlan PlanOf(const char* model, const PlanOptions& options) {
  const auto plan = MakeServingPlan(*PublishedModelConfig(model), options);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return *plan;
}

// By shared/roofline.py, an independent model of the same arithmetic (run() of
// each model and GPU).
TEST(ServingPlanTest, OneGpuAgreesWithTheIndependentModel) {
  const struct {
    const char* model;
    const char* gpu;
    int prompt;
    int new_tokens;
    int64_t batch;
    double tokens_per_second;
    const char* bound;
  } kTable[] = {
      {"vanilla_31", "h100", 2048, 128, 5447, 236941.9, "memory"},
      {"vanilla_160", "a100", 128, 2048, 911, 44841.9, "memory"},
      {"vanilla_160", "h200", 2048, 128, 1610, 50093.6, "memory"},
      {"block_main_b4_5", "h100", 128, 2048, 40455, 7146416.7, "memory"},
      {"block_main_b4_85", "a100", 2048, 128, 7146, 323805.3, "memory"},
      {"block_main_b4_85", "h100", 2048, 128, 7146, 744972.5, "memory"},
      {"block_main_b4_85", "h100", 128, 2048, 7146, 1536213.9, "memory"},
      {"block_main_b4_1.2b", "a100", 128, 2048, 1306, 95064.3, "compute"},
      {"block_main_b4_1.2b", "h100", 2048, 128, 1306, 88930.0, "prefill"},
      {"block_main_b4_1.2b", "h200", 128, 2048, 2344, 266806.5, "compute"},
      {"block_megabyte_b4_85", "h100", 128, 2048, 3951, 1111569.2, "memory"},
  };
  for (const auto& row : kTable) {
    SCOPED_TRACE(std::string(row.model) + " on " + row.gpu);
    const ServingPlan plan =
        PlanOf(row.model, Options(row.gpu, 1, row.prompt, row.new_tokens));
    ASSERT_EQ(plan.layouts.size(), 1u);
    EXPECT_EQ(plan.layouts[0].max_batch, row.batch);
    EXPECT_NEAR(plan.layouts[0].full.tokens_per_second / row.tokens_per_second,
                1, 1e-6);
    EXPECT_EQ(plan.layouts[0].full.bound(), row.bound);
  }
}

// As above, at 1024 sequences.
TEST(ServingPlanTest, TensorParallelAgreesWithTheIndependentModel) {
  const struct {
    const char* model;
    int ranks;
    double tokens_per_second;
  } kTable[] = {{"block_main_b4_85", 2, 1912481.2806},
                {"block_main_b4_85", 4, 2464528.7643},
                {"block_main_b4_1.2b", 2, 375935.4102},
                {"block_main_b4_1.2b", 4, 583633.2330}};
  for (const auto& row : kTable) {
    const ServingRate rate = RateOf(*PublishedModelConfig(row.model),
                                    Options("h100", row.ranks, 128, 2048),
                                    {Sharing::kTensor, row.ranks, 1}, 1024);
    EXPECT_NEAR(rate.tokens_per_second / row.tokens_per_second, 1, 1e-6)
        << row.model << " x" << row.ranks;
  }
}

TEST(ServingPlanTest, ReplicasScaleAndShareABatch) {
  const ServingPlan one =
      PlanOf("block_main_b4_85", Options("h100", 1, 128, 2048));
  const ServingPlan four =
      PlanOf("block_main_b4_85", Options("h100", 4, 128, 2048));
  const ServingRate& all = four.layouts[0].full;
  EXPECT_EQ(all.batch, 4 * one.layouts[0].max_batch);
  EXPECT_NEAR(all.tokens_per_second, 4 * one.layouts[0].full.tokens_per_second,
              1);
  // One sequence keeps one of them busy.
  EXPECT_DOUBLE_EQ(four.layouts[0].regimes[0].tokens_per_second,
                   one.layouts[0].regimes[0].tokens_per_second);
}

TEST(ServingPlanTest, SharesOfTheTimeAddUpToAll) {
  const ServingPlan plan =
      PlanOf("block_main_b4_1.2b", Options("h100", 8, 2048, 128));
  EXPECT_EQ(plan.layouts.size(), 7u);  // alone; 2, 4 and 8, each in two ways
  for (const LayoutPlan& layout : plan.layouts) {
    const ServingRate& rate = layout.full;
    EXPECT_NEAR(rate.prompt_share + rate.decode_shares.total(), 1, 1e-12);
    EXPECT_GE(rate.bound_share(), 0.2);
    EXPECT_GT(
        layout.memory.usable_bytes,
        layout.memory.weight_bytes + layout.memory.sequence_bytes *
                                         static_cast<double>(layout.max_batch));
  }
}

TEST(ServingPlanTest, AHybridRepeatsTheTokenDecoderOnEveryRank) {
  const ServingPlan plan =
      PlanOf("block_main_b4_85", Options("h100", 2, 128, 2048));
  ASSERT_EQ(plan.layouts.size(), 3u);
  const double tensor = plan.layouts[1].memory.weight_bytes;
  const double hybrid = plan.layouts[2].memory.weight_bytes;
  EXPECT_DOUBLE_EQ(2 * tensor, plan.layouts[0].memory.weight_bytes);
  EXPECT_GT(hybrid, tensor);
  EXPECT_LT(hybrid, 2 * tensor);
}

TEST(ServingPlanTest, HeadsThatCannotBeDealtAreNamed) {
  const ServingPlan plan =
      PlanOf("block_main_b4_85", Options("h100", 8, 128, 2048));
  ASSERT_EQ(plan.refused.size(), 2u);
  EXPECT_NE(plan.refused[0].find("tensor x8: 12 heads"), std::string::npos);
}

TEST(ServingPlanTest, AModelThatDoesNotFitHasNoBatch) {
  PlanOptions options = Options("h100", 1, 128, 2048);
  options.assumptions.gpu.memory_bytes = 1e9;
  const ServingPlan plan = PlanOf("block_main_b4_1.2b", options);
  EXPECT_EQ(plan.layouts[0].max_batch, 0);
  EXPECT_TRUE(plan.layouts[0].regimes.empty());
}

TEST(ServingPlanTest, OtherKindsOfModelsAreRefused) {
  ModelConfig config = *PublishedModelConfig("block_main_b4_5");
  config.embedder.kind = EmbedderKind::kRoberta;
  const PlanOptions options = Options("h100", 1, 128, 2048);
  EXPECT_EQ(MakeServingPlan(config, options).status().code(),
            absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace blockserve
