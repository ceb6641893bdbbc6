// A step computes nothing that nobody reads.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "runtime/model/model.h"
#include "runtime/model/testing/checking_ops.h"
#include "runtime/model/testing/generate.h"

namespace blockserve {
namespace {

constexpr int kLinearsPerLayer = 4;  // qkv, attention output, FFN up and down

class StepWorkTest : public ::testing::Test {
 protected:
  void Load(const std::string& golden_case) {
    ModelOptions options;
    options.limits = {.max_units_per_step = 32,
                      .max_rows_per_step = 8,
                      .max_sequences_per_step = 2,
                      .max_units_per_sequence = 32,
                      .num_pages = 4};
    auto model =
        LoadModel("tests/testdata/golden/" + golden_case, options, ops_);
    ASSERT_TRUE(model.ok()) << model.status();
    model_ = *std::move(model);
  }

  // Runs chunks of these numbers of units; only the last one has outputs.
  void Step(const std::vector<int>& num_units, int num_outputs,
            int num_tokens) {
    const int length = model_->tokens_per_step();
    const std::vector<int32_t> tokens(32 * length, 1);
    const std::vector<int32_t> pages = {0, 1};
    std::vector<SequenceChunk> chunks;
    for (int count : num_units) {
      SequenceChunk chunk;
      chunk.tokens = absl::MakeConstSpan(tokens).first(count * length);
      chunk.pages = pages;
      chunks.push_back(chunk);
    }
    chunks.back().num_outputs = num_outputs;
    const std::vector<DecodeRow> rows(num_outputs);
    ops_.Reset();
    const auto output = model_->Step({chunks, rows, num_tokens});
    ASSERT_TRUE(output.ok()) << output.status();
  }

  CheckingOps ops_;
  std::unique_ptr<Model> model_;
};

TEST_F(StepWorkTest, TheLastCachedLayerRunsForOutputsAlone) {
  Load("k_vanilla");  // 3 layers
  Step({9, 4}, /*num_outputs=*/1, /*num_tokens=*/1);
  EXPECT_EQ(ops_.counts().linear_rows,
            2 * kLinearsPerLayer * 13 + /*qkv=*/13 + 3);
  EXPECT_EQ(ops_.counts().attention_rows, 2 * 13 + 1);
  EXPECT_EQ(ops_.counts().sampled_rows, 1);
}

TEST_F(StepWorkTest, WithoutOutputsTheLastLayerOnlyStoresKeysAndValues) {
  Load("k_vanilla");
  Step({9, 4}, /*num_outputs=*/0, /*num_tokens=*/1);
  EXPECT_EQ(ops_.counts().linear_rows, 2 * kLinearsPerLayer * 13 + 13);
  EXPECT_EQ(ops_.counts().attention_rows, 2 * 13);
  EXPECT_EQ(ops_.counts().sampled_rows, 0);
}

TEST_F(StepWorkTest, APrefixGoesOnWithItsLastPositionAndNoTokenIsFedInVain) {
  Load("e4_expansion_4");  // 2 + 2 layers, 4 prefix positions, block of 4
  Step({1, 2}, /*num_outputs=*/2, /*num_tokens=*/3);
  const int block_decoder = kLinearsPerLayer * 3 + /*qkv=*/3 + 3 * 2;
  const int prefix = kLinearsPerLayer * 2 * 4 + /*qkv=*/2 * 4 + 3 * 2;
  const int later_tokens = 2 * 2 * kLinearsPerLayer * 2;
  EXPECT_EQ(ops_.counts().linear_rows,
            block_decoder + /*expansion=*/2 + prefix + later_tokens);
  EXPECT_EQ(ops_.counts().sampled_rows, 2 * 3);
}

TEST_F(StepWorkTest, AStepCopiesItsInputOnceAndReadsTokensAndLogprobs) {
  Load("a_main_b4_r2_hd32");
  Step({3, 2}, /*num_outputs=*/2, /*num_tokens=*/4);
  EXPECT_EQ(ops_.counts().copies, 1 + 2);
}

}  // namespace
}  // namespace blockserve
