// Groups under everything that may go wrong, in virtual time:
//   --test_arg=--seed=N        replays one seed and prints its trace
//   --test_arg=--num_seeds=N   runs more of them
#include <gtest/gtest.h>

#include <cstdint>
#include <iostream>
#include <map>
#include <string>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "parallel/control/testing/group_simulation.h"

ABSL_FLAG(uint64_t, seed, 0, "Replay this seed only and print its trace.");
ABSL_FLAG(uint64_t, num_seeds, 2000, "Run seeds 1 to this one.");
ABSL_FLAG(
    std::string, planted, "",
    "Plant accept_duplicates, forget_epochs or skip_fencing with --seed.");

namespace blockserve {
namespace {

PlantedDefects Planted(const std::string& name) {
  PlantedDefects planted;
  planted.accept_duplicates = name == "accept_duplicates";
  planted.forget_epochs = name == "forget_epochs";
  planted.skip_fencing = name == "skip_fencing";
  return planted;
}

TEST(SimulationTest, HoldsUnderEverySeed) {
  absl::Duration slowest, total;
  int64_t num_epochs = 0, num_executed = 0;
  std::map<std::string, int64_t> faults, refusals;
  const uint64_t num_seeds = absl::GetFlag(FLAGS_num_seeds);
  for (uint64_t seed = 1; seed <= num_seeds; ++seed) {
    const SimulationResult result =
        Simulate(seed, PlantedDefects(), /*with_trace=*/false);
    ASSERT_EQ(result.violation, "") << "replay with --test_arg=--seed=" << seed;
    slowest = std::max(slowest, result.recovery);
    total += result.recovery;
    num_epochs += result.num_epochs;
    num_executed += result.num_executed;
    for (const auto& [fault, count] : result.faults) faults[fault] += count;
    for (const auto& [reason, count] : result.refusals) {
      refusals[reason] += count;
    }
  }
  std::cout << num_seeds << " seeds: " << num_epochs << " epochs, "
            << num_executed << " plans executed; recovery "
            << absl::FormatDuration(total / static_cast<int64_t>(num_seeds))
            << " on average, " << absl::FormatDuration(slowest)
            << " at most\nfaults:";
  for (const auto& [fault, count] : faults) {
    std::cout << " " << fault << " " << count << ",";
    EXPECT_GT(count, 0);
  }
  std::cout << "\nrefusals:";
  for (const auto& [reason, count] : refusals) {
    std::cout << " " << reason << " " << count << ",";
  }
  std::cout << std::endl;
  // The simulation does what it is for: every way to be refused has come up.
  for (const char* reason :
       {"build_version", "duplicate", "malformed", "model", "old_epoch",
        "rank_range", "stale_frame", "world_size", "wrong_secret"}) {
    EXPECT_GT(refusals[reason], 0) << reason;
  }
}

TEST(SimulationTest, ASeedGivesTheSameTraceEveryTime) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    const auto first = Simulate(seed, PlantedDefects(), /*with_trace=*/true);
    const auto second = Simulate(seed, PlantedDefects(), /*with_trace=*/true);
    EXPECT_GT(first.trace.size(), 1000u);
    EXPECT_EQ(first.trace, second.trace) << seed;
  }
}

class PlantedDefectTest : public ::testing::TestWithParam<const char*> {};

TEST_P(PlantedDefectTest, IsFound) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    const SimulationResult result =
        Simulate(seed, Planted(GetParam()), /*with_trace=*/false);
    if (result.violation.empty()) continue;
    std::cout << GetParam() << " is found by seed " << seed << ": "
              << result.violation << std::endl;
    return;
  }
  FAIL() << GetParam() << " is not found in 2000 seeds";
}

INSTANTIATE_TEST_SUITE_P(Defects, PlantedDefectTest,
                         ::testing::Values("accept_duplicates", "forget_epochs",
                                           "skip_fencing"),
                         [](const auto& info) { return info.param; });

int Replay(uint64_t seed) {
  const SimulationResult result = Simulate(
      seed, Planted(absl::GetFlag(FLAGS_planted)), /*with_trace=*/true);
  std::cout << result.trace;
  return result.violation.empty() ? 0 : 1;
}

}  // namespace
}  // namespace blockserve

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  absl::ParseCommandLine(argc, argv);
  const uint64_t seed = absl::GetFlag(FLAGS_seed);
  return seed == 0 ? RUN_ALL_TESTS() : blockserve::Replay(seed);
}
