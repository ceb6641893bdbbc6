// The golden runner must fail when it should.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "runtime/golden/golden_case.h"

namespace blockserve {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

constexpr char kCase[] = "tests/testdata/golden/e4_expansion_4";
constexpr char kVanilla[] = "tests/testdata/golden/k_vanilla";

// A writable copy of a case.
std::string CopyOf(const std::string& directory) {
  const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
  const std::string copy = ::testing::TempDir() + "/" + test->name();
  std::filesystem::remove_all(copy);
  std::filesystem::create_directories(copy);
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string target = copy + "/" + entry.path().filename().string();
    std::filesystem::copy_file(std::filesystem::canonical(entry.path()),
                               target);
    std::filesystem::permissions(target, std::filesystem::perms::owner_all);
  }
  return copy;
}

void EditCases(const std::string& directory,
               const std::function<void(json&)>& edit) {
  const std::string path = directory + "/cases.json";
  json cases = json::parse(std::ifstream(path));
  edit(cases);
  std::ofstream(path) << cases;
}

struct Outcome {
  absl::StatusOr<GoldenResult> result;
  std::string log;
};

Outcome RunCase(const std::string& directory) {
  GoldenOptions options;
  options.backend = "reference";
  std::ostringstream log;
  auto result = RunGoldenCase(directory, options, log);
  return {std::move(result), log.str()};
}

// Runs a copy of kCase with one change.
Outcome RunEdited(const std::function<void(json&)>& edit) {
  const std::string copy = CopyOf(kCase);
  EditCases(copy, edit);
  return RunCase(copy);
}

TEST(GoldenRunnerTest, FailsOnAnAlteredToken) {
  const Outcome outcome = RunEdited([](json& cases) {
    auto& id = cases["generate"][0]["generated"][7];
    id = (id.get<int>() + 1) % 512;
  });
  ASSERT_TRUE(outcome.result.ok()) << outcome.result.status();
  EXPECT_GT(outcome.result->failed, 0);
  EXPECT_THAT(outcome.log, HasSubstr("FAIL generate[0]"));
  EXPECT_THAT(outcome.log, HasSubstr("at index 7"));
}

TEST(GoldenRunnerTest, FailsOnAlteredLogprobs) {
  const Outcome outcome = RunEdited([](json& cases) {
    for (auto* value :
         {&cases["generate_forward_positions"][1]["logprobs"][3],
          &cases["score"][0]["logprobs"][2],
          &cases["generate_batch"][0]["rows"][1]["logprobs"][0]}) {
      *value = value->get<double>() + 3e-4;
    }
  });
  ASSERT_TRUE(outcome.result.ok()) << outcome.result.status();
  EXPECT_EQ(outcome.result->failed, 3) << outcome.log;
  EXPECT_THAT(outcome.log, HasSubstr("FAIL generate_forward_positions[1]"));
  EXPECT_THAT(outcome.log, HasSubstr("FAIL score[0]"));
  EXPECT_THAT(outcome.log, HasSubstr("FAIL generate_batch[0]"));
}

TEST(GoldenRunnerTest, FailsOnAlteredFlagsAndMasks) {
  const Outcome outcome = RunEdited([](json& cases) {
    cases["block_length"] = cases["block_length"].get<int>() + 1;
    cases["score"][0]["is_greedy"] =
        !cases["score"][0]["is_greedy"].get<bool>();
    cases["generate"][0]["finish"] = "never";
    auto& mask = cases["generate"][0]["padded_attention_mask"][0];
    mask = 1 - mask.get<int>();
  });
  ASSERT_TRUE(outcome.result.ok()) << outcome.result.status();
  EXPECT_THAT(outcome.log, HasSubstr("FAIL config.block_length"));
  EXPECT_THAT(outcome.log, HasSubstr("is_greedy expected"));
  EXPECT_THAT(outcome.log, HasSubstr("finish expected never"));
  EXPECT_THAT(outcome.log, HasSubstr("padded_attention_mask expected"));
}

TEST(GoldenRunnerTest, FailsOnADamagedWeight) {
  const std::string copy = CopyOf(kVanilla);
  ASSERT_EQ(RunCase(copy).result->failed, 0);
  // The last parameter of the file, whichever it is.
  const std::string path = copy + "/model.safetensors";
  const auto size = std::filesystem::file_size(path);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  for (int i = 1; i <= 64; ++i) {
    const float value = 2.5f;
    file.seekp(static_cast<std::streamoff>(size) - 4 * i);
    file.write(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  file.close();
  EXPECT_GT(RunCase(copy).result->failed, 0);
}

TEST(GoldenRunnerTest, RunsWithoutOptionalFilesAndLists) {
  const std::string copy = CopyOf(kCase);
  std::filesystem::remove(copy + "/tensors.safetensors");
  EditCases(copy, [](json& cases) {
    for (const char* key : {"generate_batch", "no_room", "generate", "special",
                            "generate_positions_equal_forward"}) {
      cases.erase(key);
    }
    for (json& run : cases["generate_forward_positions"]) {
      for (const char* key : {"padded_prompt", "padded_attention_mask",
                              "left_padding", "gaps", "min_gap", "output"}) {
        run.erase(key);
      }
    }
    for (json& score : cases["score"]) {
      for (const char* key :
           {"input_blocks", "attention_mask", "block_attention_mask",
            "artifacts", "is_greedy"}) {
        score.erase(key);
      }
    }
  });
  const Outcome outcome = RunCase(copy);
  ASSERT_TRUE(outcome.result.ok()) << outcome.result.status();
  EXPECT_EQ(outcome.result->failed, 0) << outcome.log;
  EXPECT_GT(outcome.result->passed, 20);
}

TEST(GoldenRunnerTest, RefusesAMalformedDirectory) {
  EXPECT_EQ(RunCase("tests/testdata").result.status().code(),
            absl::StatusCode::kNotFound);
  const std::string copy = CopyOf(kCase);
  EditCases(copy, [](json& cases) {
    cases["score"][0]["input_blocks"] = {{1, 2, 3, 4}};
  });
  EXPECT_EQ(RunCase(copy).result.status().code(),
            absl::StatusCode::kInvalidArgument);
  EditCases(copy, [](json& cases) { cases["generate"] = 3; });
  EXPECT_EQ(RunCase(copy).result.status().code(),
            absl::StatusCode::kInvalidArgument);
  std::filesystem::resize_file(copy + "/cases.json", 1000);
  EXPECT_EQ(RunCase(copy).result.status().code(),
            absl::StatusCode::kInvalidArgument);
  std::filesystem::remove(copy + "/cases.json");
  EXPECT_EQ(RunCase(copy).result.status().code(), absl::StatusCode::kNotFound);
}

TEST(GoldenRunnerTest, RefusesMalformedFilesBesideTheCases) {
  for (const char* file : {"tensors.safetensors", "model.safetensors"}) {
    const std::string copy = CopyOf(kCase);
    std::filesystem::resize_file(copy + "/" + file, 5000);
    EXPECT_EQ(RunCase(copy).result.status().code(),
              absl::StatusCode::kDataLoss);
  }
  GoldenOptions options;
  options.dtype = "fp8";
  std::ostringstream log;
  EXPECT_FALSE(RunGoldenCase(kCase, options, log).ok());
  options = {};
  options.num_ranks = 0;
  EXPECT_FALSE(RunGoldenCase(kCase, options, log).ok());
}

}  // namespace
}  // namespace blockserve
