// The router under everything that may go wrong, in virtual time:
//   --test_arg=--seed=N        replays one seed and prints its trace
//   --test_arg=--num_seeds=N   runs more of them
#include <glog/logging.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <iostream>
#include <map>
#include <string>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "router/simulation/router_simulation.h"

ABSL_FLAG(uint64_t, seed, 0, "Replay this seed only and print its trace.");
ABSL_FLAG(uint64_t, num_seeds, 2000, "Run seeds 1 to this one.");
ABSL_FLAG(std::string, planted, "",
          "Plant forget_tokens, forget_losses or never_wait with --seed.");

namespace blockserve {
namespace {

PlantedResumeDefects Planted(const std::string& name) {
  PlantedResumeDefects planted;
  planted.forget_tokens = name == "forget_tokens";
  planted.forget_losses = name == "forget_losses";
  planted.never_wait = name == "never_wait";
  return planted;
}

using Counts = std::map<std::string, int64_t>;

void AddTo(Counts& sum, const Counts& counts) {
  for (const auto& [name, count] : counts) sum[name] += count;
}

void Print(const char* title, const Counts& counts) {
  std::cout << title;
  for (const auto& [name, count] : counts) {
    std::cout << " " << name << " " << count << ",";
  }
  std::cout << std::endl;
}

TEST(RouterSimulationTest, HoldsUnderEverySeed) {
  int64_t num_requests = 0, num_dispatches = 0;
  Counts outcomes, faults, metrics;
  const uint64_t num_seeds = absl::GetFlag(FLAGS_num_seeds);
  for (uint64_t seed = 1; seed <= num_seeds; ++seed) {
    const RouterSimulationResult result =
        SimulateRouter(seed, PlantedResumeDefects(), /*with_trace=*/false);
    ASSERT_EQ(result.violation, "") << "replay with --test_arg=--seed=" << seed;
    num_requests += result.num_requests;
    num_dispatches += result.num_dispatches;
    AddTo(outcomes, result.outcomes);
    AddTo(faults, result.faults);
    AddTo(metrics, result.metrics);
  }
  std::cout << num_seeds << " seeds: " << num_requests << " requests, "
            << num_dispatches << " dispatches\n";
  Print("outcomes:", outcomes);
  Print("faults:", faults);
  Print("metrics:", metrics);
  // The simulation does what it is for: all of this has come up.
  for (const char* outcome :
       {"OK", "CANCELLED", "DEADLINE", "ENGINE_ERROR", "NO_HEALTHY_WORKER",
        "POISON", "WORKER_LOST", "WORKER_LOST_MID_STREAM"}) {
    EXPECT_GT(outcomes[outcome], 0) << outcome;
  }
  EXPECT_EQ(faults.size(), 11u);
  EXPECT_GT(metrics["blockserve_router_resumes_total"], 0);
  EXPECT_GT(metrics["blockserve_router_ejections_total"], 0);
  EXPECT_GT(metrics["blockserve_router_retries_refused_total"], 0);
}

TEST(RouterSimulationTest, ASeedGivesTheSameTraceEveryTime) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    const auto first =
        SimulateRouter(seed, PlantedResumeDefects(), /*with_trace=*/true);
    const auto second =
        SimulateRouter(seed, PlantedResumeDefects(), /*with_trace=*/true);
    EXPECT_GT(first.trace.size(), 1000u);
    EXPECT_EQ(first.trace, second.trace) << seed;
    EXPECT_EQ(first.metrics, second.metrics) << seed;
  }
}

class PlantedDefectTest : public testing::TestWithParam<const char*> {};

TEST_P(PlantedDefectTest, IsFound) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    const RouterSimulationResult result =
        SimulateRouter(seed, Planted(GetParam()), /*with_trace=*/false);
    if (result.violation.empty()) continue;
    std::cout << GetParam() << " is found by seed " << seed << ": "
              << result.violation << std::endl;
    return;
  }
  FAIL() << GetParam() << " is not found in 2000 seeds";
}

INSTANTIATE_TEST_SUITE_P(Defects, PlantedDefectTest,
                         testing::Values("forget_tokens", "forget_losses",
                                         "never_wait"),
                         [](const auto& info) { return info.param; });

int Replay(uint64_t seed) {
  const RouterSimulationResult result = SimulateRouter(
      seed, Planted(absl::GetFlag(FLAGS_planted)), /*with_trace=*/true);
  std::cout << result.trace;
  return result.violation.empty() ? 0 : 1;
}

}  // namespace
}  // namespace blockserve

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  absl::ParseCommandLine(argc, argv);
  FLAGS_minloglevel = 3;  // a thousand routers' logs
  const uint64_t seed = absl::GetFlag(FLAGS_seed);
  return seed == 0 ? RUN_ALL_TESTS() : blockserve::Replay(seed);
}
