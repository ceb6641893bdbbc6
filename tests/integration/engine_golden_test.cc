// The engine, with all requests of a golden case at once, gives what the
// reference implementation gives them one by one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/integration/model_engine.h"

namespace blockserve {
namespace {

using ::nlohmann::json;
using ::testing::FloatNear;
using ::testing::Pointwise;

// FORMAT.md 9; the wider one is RoBERTa's and T5's.
constexpr float kTolerance = 2e-4f;

struct Case {
  std::string directory;
  std::string backend;
};

std::string NameOf(const Case& golden) {
  return std::filesystem::path(golden.directory).filename().string();
}

// By name: the committed ones and, where they are, all others.
std::vector<Case> AllCases() {
  std::vector<std::string> roots = {"tests/testdata/golden"};
  if (const char* shared = std::getenv("BLOCKSERVE_SHARED_DIR")) {
    roots.push_back(absl::StrCat(shared, "/golden"));
  }
  std::map<std::string, std::string> directories;
  for (const std::string& root : roots) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(root, error)) {
      if (!entry.is_directory()) continue;
      directories.emplace(entry.path().filename().string(),
                          entry.path().string());
    }
  }
  std::vector<Case> cases;
  for (const auto& [name, directory] : directories) {
    for (const std::string& backend : HostBackends()) {
      cases.push_back({directory, backend});
    }
  }
  return cases;
}

class EngineGoldenTest : public testing::TestWithParam<Case> {
 protected:
  EngineGoldenTest()
      : model_(GetParam().directory, GetParam().backend),
        file_(
            json::parse(std::ifstream(GetParam().directory + "/cases.json"))) {}

  static std::vector<float> Logprobs(const RecordingSink& sink) {
    std::vector<float> logprobs;
    for (const TokenLogprobs& each : sink.logprobs()) {
      logprobs.push_back(each.logprob);
    }
    return logprobs;
  }

  ModelEngine model_;
  const json file_;
};

INSTANTIATE_TEST_SUITE_P(All, EngineGoldenTest, testing::ValuesIn(AllCases()),
                         [](const auto& info) {
                           return NameOf(info.param) + "_" + info.param.backend;
                         });

TEST_P(EngineGoldenTest, GeneratesTheReferencesTokens) {
  const char* key = file_.contains("generate_forward_positions")
                        ? "generate_forward_positions"
                        : "generate";
  std::vector<std::pair<json, std::shared_ptr<RecordingSink>>> runs;
  for (const json& run : file_.at(key)) {
    GenerateRequest request;
    request.request_id = run.at("name");
    request.prompt = run.at("prompt").get<std::vector<int32_t>>();
    request.sampling.temperature = 0.0f;
    request.sampling.max_tokens = static_cast<int>(run.at("generated").size());
    request.sampling.logprobs = 0;
    runs.push_back({run, model_.Submit(request)});
  }
  ASSERT_FALSE(runs.empty());
  for (const auto& [run, sink] : runs) {
    SCOPED_TRACE(run.at("name").get<std::string>());
    ASSERT_TRUE(sink->Wait().status.ok());
    auto expected = run.at("generated").get<std::vector<int32_t>>();
    expected.resize(run.at("n_valid").get<size_t>());
    EXPECT_EQ(sink->tokens(), expected);
    EXPECT_EQ(sink->result().finish_reason == FinishReason::kStop,
              run.at("finish") == "eos");
    EXPECT_THAT(Logprobs(*sink),
                Pointwise(FloatNear(kTolerance),
                          run.at("logprobs").get<std::vector<float>>()));
  }
}

TEST_P(EngineGoldenTest, ScoresAsTheReference) {
  std::vector<std::pair<json, std::shared_ptr<RecordingSink>>> runs;
  for (const json& entry : file_.at("score")) {
    const std::string mode = entry.at("mode");
    if (mode != "aligned" && mode != "causal") continue;
    ScoreRequest request;
    request.request_id = absl::StrCat("score-", runs.size());
    request.context = entry.at("context").get<std::vector<int32_t>>();
    request.continuation = entry.at("continuation").get<std::vector<int32_t>>();
    runs.push_back({entry, model_.Submit(request)});
  }
  for (const auto& [entry, sink] : runs) {
    SCOPED_TRACE(entry.at("name").get<std::string>());
    ASSERT_TRUE(sink->Wait().status.ok());
    EXPECT_THAT(Logprobs(*sink),
                Pointwise(FloatNear(kTolerance),
                          entry.at("logprobs").get<std::vector<float>>()));
    bool is_greedy = true;
    for (const TokenLogprobs& each : sink->logprobs()) {
      is_greedy &= each.is_argmax;
    }
    EXPECT_EQ(is_greedy, entry.at("is_greedy").get<bool>());
  }
}

}  // namespace
}  // namespace blockserve
