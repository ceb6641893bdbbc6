#include "runtime/scheduler/fair_share.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

namespace blockserve {
namespace {

using ::testing::ElementsAre;

std::vector<int> Share(const std::vector<int>& demands, int capacity) {
  std::vector<int> grants(demands.size(), -1);
  ShareFairly(demands, capacity, absl::MakeSpan(grants));
  return grants;
}

TEST(FairShareTest, GivesWhatIsAskedIfThereIsEnough) {
  EXPECT_THAT(Share({3, 0, 5}, 8), ElementsAre(3, 0, 5));
  EXPECT_THAT(Share({3, 0, 5}, 100), ElementsAre(3, 0, 5));
}

TEST(FairShareTest, SmallDemandsAreMetAndTheRestIsSplit) {
  EXPECT_THAT(Share({100, 2, 100}, 12), ElementsAre(5, 2, 5));
}

TEST(FairShareTest, WhatDoesNotDivideGoesToTheFirst) {
  EXPECT_THAT(Share({9, 9, 9}, 11), ElementsAre(4, 4, 3));
  EXPECT_THAT(Share({9, 9, 9}, 2), ElementsAre(1, 1, 0));
}

TEST(FairShareTest, NothingToGiveOrNobodyToTake) {
  EXPECT_THAT(Share({4, 4}, 0), ElementsAre(0, 0));
  EXPECT_THAT(Share({0, 0}, 5), ElementsAre(0, 0));
  EXPECT_TRUE(Share({}, 5).empty());
}

TEST(FairShareTest, IsMaxMinFairForRandomDemands) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::vector<int> demands(random() % 20);
    for (int& demand : demands) demand = static_cast<int>(random() % 30);
    const int capacity = static_cast<int>(random() % 300);
    const std::vector<int> grants = Share(demands, capacity);
    const int total = std::accumulate(demands.begin(), demands.end(), 0);
    ASSERT_EQ(std::accumulate(grants.begin(), grants.end(), 0),
              std::min(total, capacity));
    for (size_t i = 0; i < demands.size(); ++i) {
      ASSERT_GE(grants[i], 0);
      ASSERT_LE(grants[i], demands[i]);
      if (grants[i] == demands[i]) continue;
      for (int other : grants) ASSERT_LE(other, grants[i] + 1);
    }
  }
}

}  // namespace
}  // namespace blockserve
