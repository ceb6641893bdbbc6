// What LoadModel takes and refuses, and what it reports.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "kernels/reference/reference_ops.h"
#include "runtime/model/model.h"
#include "runtime/model/testing/generate.h"
#include "runtime/model/testing/tiny_checkpoint.h"

namespace blockserve {
namespace {

using ::testing::HasSubstr;

class LoadModelTest : public ::testing::Test {
 protected:
  LoadModelTest() {
    options_.limits = {.max_units_per_step = 32,
                       .max_rows_per_step = 4,
                       .max_sequences_per_step = 4,
                       .max_units_per_sequence = 32,
                       .num_pages = 8};
  }

  absl::StatusOr<std::unique_ptr<Model>> Load(const std::string& directory) {
    return LoadModel(directory, options_, *ops_);
  }
  absl::Status LoadError(const TinyCheckpoint& checkpoint) {
    return Load(checkpoint.Write()).status();
  }

  ModelOptions options_;
  std::unique_ptr<Ops> ops_ = CreateReferenceOps(DType::kFloat32);
};

TEST_F(LoadModelTest, ReportsPartsAndSizes) {
  const std::string directory = TinyCheckpoint::BlockTransformer().Write();
  int64_t read = 0;
  int64_t total = 0;
  auto model = LoadModel(directory, options_, *ops_,
                         [&](int64_t bytes_read, int64_t total_bytes) {
                           EXPECT_GE(bytes_read, read);
                           read = bytes_read;
                           total = total_bytes;
                         });
  ASSERT_TRUE(model.ok()) << model.status();
  // All but the block decoder's embed_in, which nobody reads.
  EXPECT_EQ(total - read, 64 * 32 * 4);

  const std::vector<PartSize> parts = (*model)->parts();
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[0].name, "embedder");
  EXPECT_EQ(parts[0].num_parameters, 64 * 32);
  EXPECT_EQ(parts[1].name, "block_decoder");
  // Per layer: two norms, qkv, dense, the two of the FFN; and the final norm.
  const int64_t trunk =
      2 * (4 * 32 + 33 * 96 + 33 * 32 + 33 * 48 + 49 * 32) + 2 * 32;
  EXPECT_EQ(parts[1].num_parameters, trunk);
  EXPECT_EQ(parts[2].name, "token_decoder");
  EXPECT_EQ(parts[2].num_parameters, trunk + 2 * 64 * 32);
  for (const PartSize& part : parts) {
    EXPECT_GE(part.num_bytes, part.num_parameters * 4) << part.name;
  }
  EXPECT_GT((*model)->scratch_bytes(), 0u);
  EXPECT_EQ((*model)->kv_bytes_per_page(),
            KvBytesPerPage((*model)->config(), kRankAlone, *ops_));
  EXPECT_EQ((*model)->kv_bytes_per_page(), 2 * ops_->KvPageBytes(2, 16));
}

TEST_F(LoadModelTest, NamesATensorThatIsMissing) {
  for (const char* name :
       {"embedder.embeddings.weight",
        "block_decoder.gpt_neox.layers.1.mlp.dense_h_to_4h.weight",
        "block_decoder.gpt_neox.layers.0.attention.query_key_value.bias",
        "token_decoder.gpt_neox.final_layer_norm.bias",
        "token_decoder.gpt_neox.embed_in.weight",
        "token_decoder.embed_out.weight"}) {
    TinyCheckpoint checkpoint = TinyCheckpoint::BlockTransformer();
    checkpoint.Remove(name);
    const absl::Status status = LoadError(checkpoint);
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(std::string(status.message()), HasSubstr(name));
  }
}

TEST_F(LoadModelTest, NamesATensorOfAnotherShape) {
  for (const char* name :
       {"embedder.embeddings.weight",
        "block_decoder.gpt_neox.layers.0.attention.dense.weight",
        "block_decoder.gpt_neox.final_layer_norm.weight"}) {
    TinyCheckpoint checkpoint = TinyCheckpoint::BlockTransformer();
    checkpoint.Add(name, {7, 3});
    const absl::Status status = LoadError(checkpoint);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(name));
  }
}

TEST_F(LoadModelTest, RefusesATransposedMatrix) {
  TinyCheckpoint checkpoint = TinyCheckpoint::BlockTransformer();
  const char* name = "token_decoder.gpt_neox.layers.0.mlp.dense_h_to_4h.weight";
  checkpoint.Add(name, {32, 48});
  const absl::Status status = LoadError(checkpoint);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(name));
}

TEST_F(LoadModelTest, RefusesATensorItDoesNotKnow) {
  TinyCheckpoint checkpoint = TinyCheckpoint::BlockTransformer();
  checkpoint.Add("block_decoder.gpt_neox.layers.2.input_layernorm.weight",
                 {32});
  const absl::Status status = LoadError(checkpoint);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("layers.2"));
}

TEST_F(LoadModelTest, DoesWithoutTheTableNobodyReads) {
  TinyCheckpoint checkpoint = TinyCheckpoint::BlockTransformer();
  checkpoint.Remove("block_decoder.gpt_neox.embed_in.weight");
  EXPECT_TRUE(LoadError(checkpoint).ok()) << LoadError(checkpoint);
}

TEST_F(LoadModelTest, RefusesNaN) {
  TinyCheckpoint checkpoint = TinyCheckpoint::BlockTransformer();
  checkpoint.at("token_decoder.embed_out.weight").values[5] =
      std::numeric_limits<float>::quiet_NaN();
  const absl::Status status = LoadError(checkpoint);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("token_decoder.embed_out.weight"));
}

TEST_F(LoadModelTest, RefusesLimitsThatAreNotPositive) {
  options_.limits.num_pages = 0;
  EXPECT_EQ(LoadError(TinyCheckpoint::BlockTransformer()).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(LoadModelTest, ReportsADirectoryWithoutAModel) {
  EXPECT_EQ(Load(::testing::TempDir() + "/nowhere").status().code(),
            absl::StatusCode::kNotFound);
}

// A copy of a golden case without some of its (tied) tensors: the header lists
// what there is, so a name is dropped by spelling it as a buffer to ignore.
std::string CopyWithout(const std::string& name, const std::string& tensor) {
  const std::string directory = ::testing::TempDir() + "/" + name + tensor;
  std::filesystem::create_directories(directory);
  const std::string source = "tests/testdata/golden/" + name;
  std::filesystem::copy_file(source + "/config.yaml",
                             directory + "/config.yaml");
  std::ifstream in(source + "/model.safetensors", std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), {});
  const std::string suffix = ".position_ids";
  const size_t at = bytes.find("\"" + tensor + "\"");
  EXPECT_NE(at, std::string::npos) << tensor;
  std::string ignored = std::string(tensor.size() - suffix.size(), 'x');
  ignored += suffix;
  bytes.replace(at + 1, tensor.size(), ignored);
  std::ofstream(directory + "/model.safetensors", std::ios::binary) << bytes;
  return directory;
}

TEST_F(LoadModelTest, TakesWhicheverTiedTensorIsThere) {
  const struct {
    std::string golden;
    std::vector<std::string> tied;
  } cases[] = {
      {"j_gpt_neo",
       {"token_decoder.transformer.wte.weight",
        "token_decoder.lm_head.weight"}},
      {"g_cross_attention_t5",
       {"token_decoder.shared.weight",
        "token_decoder.decoder.embed_tokens.weight",
        "token_decoder.lm_head.weight"}},
  };
  for (const auto& test : cases) {
    auto whole = Load("tests/testdata/golden/" + test.golden);
    ASSERT_TRUE(whole.ok()) << whole.status();
    const std::vector<TestPrompt> prompts = {{RandomTokens(12, 500, 3), {}}};
    const auto expected = Generate(**whole, prompts);
    ASSERT_TRUE(expected.ok());
    for (const std::string& name : test.tied) {
      auto model = Load(CopyWithout(test.golden, name));
      ASSERT_TRUE(model.ok()) << model.status();
      const auto generated = Generate(**model, prompts);
      ASSERT_TRUE(generated.ok());
      EXPECT_EQ((*generated)[0].tokens, (*expected)[0].tokens);
    }
  }
}

TEST_F(LoadModelTest, ARefusedStepChangesNothing) {
  auto model = Load(TinyCheckpoint::BlockTransformer().Write());
  ASSERT_TRUE(model.ok()) << model.status();
  const TestPrompt prompt = {RandomTokens(8, 64, 1), {}};
  const auto before = Generate(**model, {prompt});
  ASSERT_TRUE(before.ok());
  const TestPrompt too_large = {{1, 2, 3, 64}, {}};
  EXPECT_EQ(Generate(**model, {prompt, too_large}).status().code(),
            absl::StatusCode::kInvalidArgument);
  const TestPrompt too_long = {RandomTokens(33 * 4, 64, 1), {}};
  EXPECT_EQ(Generate(**model, {too_long}).status().code(),
            absl::StatusCode::kInvalidArgument);
  const auto after = Generate(**model, {prompt});
  ASSERT_TRUE(after.ok());
  EXPECT_EQ((*after)[0].tokens, (*before)[0].tokens);
}

TEST_F(LoadModelTest, LearnedPositionsLimitASequence) {
  options_.limits = {.max_units_per_step = 200,
                     .max_rows_per_step = 1,
                     .max_sequences_per_step = 1,
                     .max_units_per_sequence = 200,
                     .num_pages = 16};
  auto model = Load("tests/testdata/golden/j_gpt_neo");  // 128 positions
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_TRUE(
      Generate(**model, {{RandomTokens(128 * 4, 500, 1), {}}}, {.num_units = 1})
          .ok());
  EXPECT_EQ(
      Generate(**model, {{RandomTokens(129 * 4, 500, 1), {}}}, {.num_units = 1})
          .status()
          .code(),
      absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace blockserve
