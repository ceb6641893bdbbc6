#include "router/policy/routing_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

namespace blockserve {
namespace {

struct PickCase {
  std::string policy;
  std::vector<int64_t> outstanding;
  PickContext context;
  size_t expected;
};

class PickTest : public testing::TestWithParam<PickCase> {};

TEST_P(PickTest, PicksAsTheTableSays) {
  const PickCase& param = GetParam();
  const auto policy = CreateRoutingPolicy(param.policy);
  ASSERT_TRUE(policy.ok());
  EXPECT_EQ((*policy)->name(), param.policy);
  std::vector<WorkerCandidate> candidates;
  for (int64_t blocks : param.outstanding) {
    candidates.push_back({static_cast<int>(candidates.size()) * 10, blocks});
  }
  EXPECT_EQ((*policy)->Pick(candidates, param.context), param.expected);
}

constexpr uint64_t kHigh = uint64_t{1} << 32;

INSTANTIATE_TEST_SUITE_P(
    Table, PickTest,
    testing::Values(PickCase{"least_outstanding", {5}, {3, 0}, 0},
                    PickCase{"least_outstanding", {5, 2, 9}, {0, 0}, 1},
                    PickCase{"least_outstanding", {5, 2, 9}, {2, 0}, 1},
                    // Ties rotate with the sequence.
                    PickCase{"least_outstanding", {0, 0, 0}, {0, 0}, 0},
                    PickCase{"least_outstanding", {0, 0, 0}, {1, 0}, 1},
                    PickCase{"least_outstanding", {0, 0, 0}, {5, 0}, 2},
                    PickCase{"least_outstanding", {1, 7, 1}, {1, 0}, 2},
                    PickCase{"round_robin", {9, 0, 0}, {0, 0}, 0},
                    PickCase{"round_robin", {9, 0, 0}, {1, 0}, 1},
                    PickCase{"round_robin", {9, 0, 0}, {3, 0}, 0},
                    PickCase{"power_of_two", {4}, {0, 12345}, 0},
                    // first = 0, second = 1
                    PickCase{"power_of_two", {4, 3, 0}, {0, 0}, 1},
                    PickCase{"power_of_two", {3, 4, 0}, {0, 0}, 0},
                    // first = 0, second = 2
                    PickCase{"power_of_two", {4, 3, 0}, {0, kHigh}, 2},
                    // first = 2, second = 0
                    PickCase{"power_of_two", {4, 3, 5}, {0, 2}, 0}));

TEST(RoutingPolicyTest, PowerOfTwoAvoidsTheMostLoaded) {
  const auto policy = *CreateRoutingPolicy("power_of_two");
  const std::vector<WorkerCandidate> candidates = {{0, 1}, {1, 100}, {2, 2}};
  std::map<size_t, int> picks;
  uint64_t random = 1;
  for (int i = 0; i < 1000; ++i) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    ++picks[policy->Pick(candidates, {0, random >> 7 | random << 57})];
  }
  EXPECT_EQ(picks.count(1), 0u);
  EXPECT_GT(picks[2], 100);
}

TEST(RoutingPolicyTest, UnknownNameListsTheKnown) {
  const auto policy = CreateRoutingPolicy("random");
  EXPECT_EQ(policy.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(policy.status().message()),
              testing::AllOf(testing::HasSubstr("least_outstanding"),
                             testing::HasSubstr("\"random\"")));
}

}  // namespace
}  // namespace blockserve
