// Golden cases through the whole CUDA backend without a GPU: alone and in
// groups of ranks over NCCL, in fp32 and bf16, with graphs and without, in
// several orders of threads and copies.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/cuda_host/fake_cuda.h"
#include "runtime/golden/golden_case.h"
#include "tests/cuda_host/host_devices.h"

namespace blockserve {
namespace {

struct HostRun {
  std::string directory;
  std::string dtype = "fp32";
  int num_ranks = 1;
  bool graphs = true;
  uint64_t seed = 1;
};

// The committed ones and, where the folder of shared material is known, all of
// its.
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

// Every case in one way, ways taking turns; the first one, which the reference
// was run in bf16 too, in all. BLOCKSERVE_ALL_RUNS: every case in every way.
std::vector<HostRun> AllRuns() {
  const bool all = std::getenv("BLOCKSERVE_ALL_RUNS") != nullptr;
  std::vector<HostRun> runs;
  size_t turn = 0;
  for (const auto& [name, directory] : AllCases()) {
    const bool is_first = name[0] == 'a';
    uint64_t seed = 1;
    std::vector<HostRun> ways;
    for (const int num_ranks : {1, 2, 4}) {
      for (const bool graphs : {true, false}) {
        ways.push_back({directory, "fp32", num_ranks, graphs, seed++});
        if (!is_first || !(graphs || all)) continue;
        ways.push_back({directory, "bf16", num_ranks, graphs, seed++});
      }
    }
    if (is_first) ways.push_back({directory, "fp32", 3, true, seed});
    if (!all && !is_first) ways = {ways[turn++ % ways.size()]};
    runs.insert(runs.end(), ways.begin(), ways.end());
  }
  return runs;
}

class HostGoldenTest : public testing::TestWithParam<HostRun> {};

TEST_P(HostGoldenTest, EveryCheckPasses) {
  GoldenOptions options;
  options.dtype = GetParam().dtype;
  options.num_ranks = GetParam().num_ranks;
  options.devices =
      HostCudaDevices(options.num_ranks, GetParam().seed, GetParam().graphs);
  std::ostringstream log;
  const auto result = RunGoldenCase(GetParam().directory, options, log);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_GE(result->passed, 20);
  EXPECT_EQ(result->failed, 0);
  std::istringstream lines(log.str());
  for (std::string line; std::getline(lines, line);) {
    if (line.find("FAIL") == 0) ADD_FAILURE() << line;
  }
  // It was the kernels that did it.
  EXPECT_GT(CountsOfFakeCuda().kernels["sample"], 20);
  EXPECT_GT(CountsOfFakeCuda().num_matmuls, 1000);
  const int64_t num_launches = CountsOfFakeCuda().num_graph_launches;
  if (GetParam().graphs) {
    EXPECT_GT(num_launches, 10);
  } else {
    EXPECT_EQ(num_launches, 0);
  }
}

// Memory is freed in the end.
TEST(HostDevicesTest, NothingIsLeftOnTheDevices) {
  EXPECT_EQ(DeviceBytesInUse(), 0u);
}

INSTANTIATE_TEST_SUITE_P(
    All, HostGoldenTest, testing::ValuesIn(AllRuns()),
    [](const testing::TestParamInfo<HostRun>& info) {
      std::string name =
          std::filesystem::path(info.param.directory).filename().string() +
          "_" + info.param.dtype + "_ranks_" +
          std::to_string(info.param.num_ranks) +
          (info.param.graphs ? "_graphs" : "_calls") + "_seed_" +
          std::to_string(info.param.seed);
      std::replace_if(
          name.begin(), name.end(),
          [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
      return name;
    });

}  // namespace
}  // namespace blockserve
