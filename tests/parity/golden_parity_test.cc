// Parity with the reference implementation over golden vectors.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "runtime/backend/backend.h"
#include "runtime/golden/golden_case.h"

namespace blockserve {
namespace {

struct Parity {
  std::string directory;
  std::string backend;
  std::string dtype;
  int num_ranks = 1;
};

std::string CaseName(const Parity& parity) {
  return std::filesystem::path(parity.directory).filename().string();
}

// Every case by its name: the committed ones and, where the folder of shared
// material is known, all of its.
std::map<std::string, std::string> AllCases() {
  std::vector<std::string> roots = {"tests/testdata/golden"};
  if (const char* shared = std::getenv("BLOCKSERVE_SHARED_DIR")) {
    roots.push_back(std::string(shared) + "/golden");
  }
  std::map<std::string, std::string> cases;
  for (const std::string& root : roots) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(root, error)) {
      if (!entry.is_directory()) continue;
      cases.emplace(entry.path().filename().string(), entry.path().string());
    }
  }
  return cases;
}

// fp32 for every case and backend, alone and in groups of ranks; bf16 for the
// case that the reference was run in bf16 too. Cases have 2 heads and more, so
// groups of 3 and 4 deal them unevenly and leave ranks without any.
std::vector<Parity> AllParities() {
  std::vector<Parity> parities;
  for (const auto& [name, directory] : AllCases()) {
    for (const std::string& backend : LinkedBackends()) {
      if (backend == "cuda") continue;  // its own test: needs a device
      parities.push_back({directory, backend, "fp32"});
      if (name[0] == 'a') parities.push_back({directory, backend, "bf16"});
      for (const int num_ranks : {2, 3, 4}) {
        parities.push_back({directory, backend, "fp32", num_ranks});
      }
    }
  }
  return parities;
}

class GoldenParityTest : public ::testing::TestWithParam<Parity> {};

TEST_P(GoldenParityTest, EveryCheckPasses) {
  GoldenOptions options;
  options.backend = GetParam().backend;
  options.dtype = GetParam().dtype;
  options.num_ranks = GetParam().num_ranks;
  std::ostringstream log;
  const auto result = RunGoldenCase(GetParam().directory, options, log);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_GE(result->passed, 20);
  EXPECT_EQ(result->failed, 0);
  if (result->failed == 0) return;
  std::istringstream lines(log.str());
  for (std::string line; std::getline(lines, line);) {
    if (line.find("FAIL") == 0) ADD_FAILURE() << line;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, GoldenParityTest, ::testing::ValuesIn(AllParities()),
    [](const ::testing::TestParamInfo<Parity>& info) {
      std::string name = CaseName(info.param) + "_" + info.param.backend + "_" +
                         info.param.dtype + "_ranks_" +
                         std::to_string(info.param.num_ranks);
      std::replace_if(
          name.begin(), name.end(),
          [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
      return name;
    });

TEST(GoldenCasesTest, AllCommittedCasesAreFound) {
  EXPECT_GE(AllCases().size(), 11u);
  EXPECT_FALSE(LinkedBackends().empty());
}

}  // namespace
}  // namespace blockserve
