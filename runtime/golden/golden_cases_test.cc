#include "runtime/golden/golden_cases.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <sstream>
#include <string>

#include "runtime/base/read_file.h"
#include "runtime/config/model_config_reader.h"
#include "runtime/golden/check_log.h"
#include "runtime/golden/golden_tensors.h"
#include "runtime/golden/score_checks.h"

namespace blockserve {
namespace {

constexpr char kRoot[] = "tests/testdata/golden";

// What our reading of the rules makes of each scored text must be what the
// files hold: this needs no model.
TEST(GoldenCasesTest, CommittedLayoutsAreReproduced) {
  int num_checks = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kRoot)) {
    if (!entry.is_directory()) continue;
    const std::string directory = entry.path().string();
    const auto config = ReadModelConfig(directory);
    ASSERT_TRUE(config.ok()) << config.status();
    const auto text = ReadFile(directory + "/cases.json", 64 << 20);
    ASSERT_TRUE(text.ok()) << text.status();
    const auto cases = ParseGoldenCases(*text, "cases.json", *config);
    ASSERT_TRUE(cases.ok()) << directory << cases.status();
    EXPECT_FALSE(cases->generate_forward_positions.empty() &&
                 cases->generate.empty());
    std::ostringstream out;
    CheckLog log(out);
    ASSERT_TRUE(CheckScoreLayouts(cases->score, *config, log).ok());
    EXPECT_EQ(log.failed(), 0) << directory << "\n" << out.str();
    num_checks += log.passed();
    EXPECT_TRUE(ReadGoldenTensors(directory + "/tensors.safetensors").ok());
  }
  EXPECT_GT(num_checks, 400);
}

ModelConfig SmallConfig() {
  ModelConfig config;
  config.block_length = 2;
  config.vocab_size = 10;
  return config;
}

constexpr char kMinimal[] = R"({"format": 1, "kind": "block_transformer",
  "generate": [{"prompt": [1, 2, 3], "max_length": 6, "generated": [4, 5, 6],
                "n_valid": 3, "logprobs": [-1, -2, -3],
                "padded_prompt": [0, 1, 2, 3]}],
  "generate_batch": [{"prompts": [[1], [2, 3, 4]], "max_length": 5,
     "rows": [{"generated": [1, 2]}, {"generated": [3, 4],
               "alone": {"generated": [3, 4], "valid_tokens_equal": true}}]}],
  "score": [{"name": "s", "mode": "aligned", "context": [1, 2],
             "continuation": [3], "logprobs": [-1.5],
             "input_blocks": [[1, 2], [3, 0]],
             "attention_mask": [[1, 1], [1, 0]], "artifacts": []}],
  "no_room": [{"prompt": [1], "max_length": 1}], "special": {"x": null}})";

TEST(GoldenCasesTest, OptionalKeysMayBeMissing) {
  const auto cases = ParseGoldenCases(kMinimal, "cases.json", SmallConfig());
  ASSERT_TRUE(cases.ok()) << cases.status();
  ASSERT_EQ(cases->generate_batch.size(), 1u);
  const GoldenBatch& batch = cases->generate_batch[0];
  EXPECT_EQ(batch.row_length, 3);
  EXPECT_EQ(batch.padded_ids[0], (std::vector<int32_t>{0, 0, 0, 1}));
  EXPECT_EQ(batch.padded_mask[0], (std::vector<uint8_t>{0, 0, 0, 1}));
  EXPECT_EQ(batch.rows[1].alone->max_length, 5);
  EXPECT_EQ(cases->score[0].input_blocks, (std::vector<int32_t>{1, 2, 3, 0}));
  EXPECT_TRUE(ParseGoldenCases(R"({"format": 1})", "f", SmallConfig()).ok());
}

TEST(GoldenCasesTest, RefusesMalformedEntries) {
  const std::vector<std::pair<std::string, std::string>> edits = {
      {"\"format\": 1", "\"format\": 2"},
      {"\"format\": 1", "\"format\": \"1\""},
      {"\"format\": 1,", ""},
      {"\"prompt\": [1, 2, 3]", "\"prompt\": [1, 2, 10]"},
      {"\"prompt\": [1, 2, 3]", "\"prompt\": [1, -2, 3]"},
      {"\"prompt\": [1, 2, 3]", "\"prompt\": [1, 2.5, 3]"},
      {"\"prompt\": [1, 2, 3]", "\"prompt\": [1, 18446744073709551615]"},
      {"\"prompt\": [1, 2, 3]", "\"prompt\": []"},
      {"\"prompt\": [1, 2, 3]", "\"prompt\": {}"},
      {"\"prompt\": [1, 2, 3],", ""},
      {"\"max_length\": 6", "\"max_length\": 99999999999"},
      {"\"max_length\": 6", "\"max_length\": [6]"},
      {"\"max_length\": 6,", ""},
      {"\"generated\": [4, 5, 6],", ""},
      {"\"n_valid\": 3", "\"n_valid\": 4"},
      {"\"logprobs\": [-1, -2, -3]", "\"logprobs\": [-1]"},
      {"\"logprobs\": [-1, -2, -3]", "\"logprobs\": [\"a\", 1, 2]"},
      {"[0, 1, 2, 3]", "[1, 2, 3]"},
      {"\"prompts\": [[1], [2, 3, 4]]", "\"prompts\": [[1]]"},
      {"\"prompts\": [[1], [2, 3, 4]]", "\"prompts\": [[], [2, 3, 4]]"},
      {"\"prompts\": [[1], [2, 3, 4]]", "\"prompts\": [[1], 2]"},
      {"\"alone\": {", "\"alone\": [], \"x\": {"},
      {"\"attention_mask\": [[1, 1], [1, 0]]", "\"attention_mask\": [[1, 1]]"},
      {"\"attention_mask\": [[1, 1], [1, 0]]",
       "\"attention_mask\": [[1, 2], [1, 0]]"},
      {"[[1, 2], [3, 0]]", "[[[1]], [2]]"},
      {"\"artifacts\": []", "\"artifacts\": [1]"},
      {"\"special\": {\"x\": null}", "\"special\": []"},
      {"\"max_length\": 1}", "\"max_length\": 2}"},
      {"\"logprobs\": [-1.5]", "\"logprobs\": []"}};
  for (const auto& [from, to] : edits) {
    std::string text = kMinimal;
    ASSERT_NE(text.find(from), std::string::npos) << from;
    text.replace(text.find(from), from.size(), to);
    const auto cases = ParseGoldenCases(text, "cases.json", SmallConfig());
    EXPECT_EQ(cases.status().code(), absl::StatusCode::kInvalidArgument)
        << from << " -> " << to;
    EXPECT_EQ(cases.status().message().find("cases.json"), 0u);
  }
}

TEST(GoldenCasesTest, SurvivesMutations) {
  std::mt19937 random(5);
  for (int i = 0; i < 5000; ++i) {
    std::string text = kMinimal;
    for (uint32_t j = 0; j <= random() % 3; ++j) {
      const size_t at = random() % text.size();
      if (random() % 2 == 0) {
        text[at] = "[]{}\",:-0123456789.e"[random() % 20];
      } else {
        text.erase(at, 1 + random() % 6);
      }
    }
    const auto cases = ParseGoldenCases(text, "cases.json", SmallConfig());
    if (!cases.ok()) {
      EXPECT_EQ(cases.status().message().find('\n'), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace blockserve
