// What a block step asks of the device: how many kernels, in how few launches,
// and that the host waits for nothing in between.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda_host/fake_cuda.h"
#include "runtime/model/model.h"

namespace blockserve {
namespace {

// Own kernels; beside them a layer has four products of cuBLASLt.
constexpr int kMaxKernelsPerLayer = 5;
constexpr int kMatmulsPerLayer = 4;  // qkv, attention output, FFN up and down

class StepLaunchesTest : public testing::TestWithParam<DType> {
 protected:
  void Load(const std::string& golden_case) {
    model_.reset();
    ops_.reset();
    ResetFakeCuda();
    auto ops = CudaOps::Create({.dtype = GetParam(),
                                .workspace_bytes = 1 << 16,
                                .scratch_bytes = 1 << 20,
                                .staging_bytes = 1 << 20});
    ASSERT_TRUE(ops.ok()) << ops.status();
    ops_ = *std::move(ops);
    ModelOptions options;
    options.limits = {.max_units_per_step = 16,
                      .max_rows_per_step = 4,
                      .max_sequences_per_step = 4,
                      .max_units_per_sequence = 16,
                      .num_pages = 4};
    auto model =
        LoadModel("tests/testdata/golden/" + golden_case, options, *ops_);
    ASSERT_TRUE(model.ok()) << model.status();
    model_ = *std::move(model);
    ASSERT_TRUE(ops_->Synchronize().ok());
    const ModelConfig& config = model_->config();
    num_tokens_ = model_->tokens_per_step();
    num_cached_layers_ = config.cached_trunk().num_layers;
    if (config.family != ModelFamily::kVanilla) {
      num_token_layers_ = config.token_decoder.num_layers;
    }
  }

  // One unit each of `num_sequences`; what the device did for it.
  FakeCudaCounts Step(int num_sequences) {
    const std::vector<int32_t> tokens(static_cast<size_t>(num_tokens_), 1);
    const std::vector<int32_t> pages = {0, 1, 2, 3};
    std::vector<SequenceChunk> chunks;
    for (int i = 0; i < num_sequences; ++i) {
      SequenceChunk chunk;
      chunk.tokens = tokens;
      chunk.pages =
          absl::MakeConstSpan(pages).subspan(static_cast<size_t>(i), 1);
      chunk.num_outputs = 1;
      chunks.push_back(chunk);
    }
    const std::vector<DecodeRow> rows(chunks.size());
    ResetFakeCuda();
    const auto output = model_->Step({chunks, rows, num_tokens_});
    EXPECT_TRUE(output.ok()) << output.status();
    return CountsOfFakeCuda();
  }

  // Runs of a layer in a step. The token decoder runs once for each token.
  int num_layer_runs() const {
    return num_cached_layers_ + num_tokens_ * num_token_layers_;
  }

  std::unique_ptr<CudaOps> ops_;
  std::unique_ptr<Model> model_;
  int num_tokens_ = 0;
  int num_cached_layers_ = 0;
  int num_token_layers_ = 0;
};

TEST_P(StepLaunchesTest, ALayerHasFiveKernelsAtMost) {
  for (const std::string golden_case : {"k_vanilla", "a_main_b4_r2_hd32"}) {
    Load(golden_case);
    const FakeCudaCounts counts = Step(2);
    // By pass and not by layer: embedding, expansion, final norms, sampling.
    const int num_passes = 1 + (num_token_layers_ > 0 ? num_tokens_ : 0);
    int64_t of_layers = counts.num_kernels() - (num_passes + 1);
    for (const char* other : {"embed", "gather_rows", "sample"}) {
      const auto found = counts.kernels.find(other);
      if (found != counts.kernels.end()) of_layers -= found->second;
    }
    EXPECT_LE(of_layers, kMaxKernelsPerLayer * num_layer_runs()) << golden_case;
    EXPECT_GE(of_layers, num_layer_runs()) << golden_case;
    EXPECT_LE(counts.num_matmuls,
              kMatmulsPerLayer * num_layer_runs() + 2 * num_passes)
        << golden_case;
    EXPECT_EQ(counts.kernels.at("sample"), num_tokens_) << golden_case;
  }
}

TEST_P(StepLaunchesTest, AStepThatComesAgainIsOneLaunch) {
  Load("a_main_b4_r2_hd32");
  const FakeCudaCounts called = Step(2);
  EXPECT_EQ(called.num_graph_launches, 0);
  EXPECT_EQ(Step(2).num_graph_launches, 1);
  const FakeCudaCounts replayed = Step(2);
  EXPECT_EQ(replayed.num_graph_launches, 1);
  EXPECT_EQ(replayed.kernels, called.kernels);
  EXPECT_EQ(replayed.num_matmuls, called.num_matmuls);
  // The step's arrays and its rows' sampling go there, tokens and
  // log-probabilities come back.
  EXPECT_EQ(replayed.num_copies, 4);
}

TEST_P(StepLaunchesTest, TheHostWaitsOnceAndAllocatesNothing) {
  Load("a_main_b4_r2_hd32");
  for (int i = 0; i < 4; ++i) {
    const FakeCudaCounts counts = Step(2);
    EXPECT_EQ(counts.num_waits, 1) << "step " << i;
    EXPECT_EQ(counts.num_allocations, 0) << "step " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(All, StepLaunchesTest,
                         testing::Values(DType::kFloat32, DType::kBFloat16),
                         [](const testing::TestParamInfo<DType>& info) {
                           return std::string(NameOf(info.param));
                         });

}  // namespace
}  // namespace blockserve
