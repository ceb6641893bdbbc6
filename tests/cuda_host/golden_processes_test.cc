// Golden cases in groups whose ranks are processes.
#include "tests/cuda_host/golden_processes.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

namespace blockserve {
namespace {

constexpr int kPassed = 7;  // an exit code that nothing else has

int Report(int rank, const absl::StatusOr<GoldenResult>& result,
           const std::string& log) {
  if (result.ok() && result->failed == 0 && result->passed >= 20) {
    return kPassed;
  }
  std::fprintf(stderr, "rank %d: %s\n%s\n", rank,
               result.status().ToString().c_str(), log.c_str());
  return 1;
}

void ExpectPasses(const std::string& golden_case, int num_ranks, bool graphs) {
  GoldenProcesses run;
  run.directory = "tests/testdata/golden/" + golden_case;
  run.options.num_ranks = num_ranks;
  run.graphs = graphs;
  EXPECT_EQ(RunGoldenProcesses(run, Report),
            std::vector<int>(static_cast<size_t>(num_ranks), kPassed))
      << golden_case;
}

TEST(GoldenProcessesTest, ABlockTransformerOfTwoAndFour) {
  ExpectPasses("a_main_b4_r2_hd32", 2, /*graphs=*/true);
  ExpectPasses("a_main_b4_r2_hd32", 4, /*graphs=*/true);
}

TEST(GoldenProcessesTest, AVanillaModelWithoutGraphs) {
  ExpectPasses("k_vanilla", 2, /*graphs=*/false);
}

}  // namespace
}  // namespace blockserve
