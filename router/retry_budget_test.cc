#include "router/retry_budget.h"

#include <gtest/gtest.h>

namespace blockserve {
namespace {

TEST(RetryBudgetTest, LimitIsAShareOfTheActiveRequestsButNeverTooSmall) {
  const RetryBudget budget({});
  const struct {
    int num_active;
    int limit;
  } kCases[] = {{0, 3}, {1, 3}, {20, 3}, {26, 3}, {27, 4}, {100, 15}};
  for (const auto& c : kCases) {
    EXPECT_EQ(budget.Limit(c.num_active), c.limit) << c.num_active;
  }
}

TEST(RetryBudgetTest, RefusesWhatIsOverTheLimitUntilOneEnds) {
  RetryBudget budget({});
  const uint64_t first = budget.NewCause();
  EXPECT_TRUE(budget.TryBegin(first, 10));
  EXPECT_TRUE(budget.TryBegin(budget.NewCause(), 10));
  EXPECT_TRUE(budget.TryBegin(budget.NewCause(), 10));
  EXPECT_FALSE(budget.TryBegin(budget.NewCause(), 10));
  EXPECT_TRUE(budget.TryBegin(budget.NewCause(), 30));
  EXPECT_EQ(budget.num_causes(), 4);
  budget.End(first);
  EXPECT_FALSE(budget.TryBegin(budget.NewCause(), 10));
  EXPECT_TRUE(budget.TryBegin(budget.NewCause(), 30));
}

TEST(RetryBudgetTest, LostGroupCountsOnceWhateverItHad) {
  RetryBudget budget({});
  constexpr uint64_t kGeneration = 7;
  for (int i = 0; i < 16; ++i) EXPECT_TRUE(budget.TryBegin(kGeneration, 32));
  EXPECT_EQ(budget.num_causes(), 1);
  EXPECT_TRUE(budget.TryBegin(kGeneration + 1, 32));
  // It holds its place until the last of them is over.
  for (int i = 0; i < 15; ++i) budget.End(kGeneration);
  EXPECT_EQ(budget.num_causes(), 2);
  budget.End(kGeneration);
  EXPECT_EQ(budget.num_causes(), 1);
}

TEST(RetryBudgetTest, CausesOfTheirOwnDiffer) {
  RetryBudget budget({});
  const uint64_t first = budget.NewCause();
  EXPECT_NE(first, budget.NewCause());
  EXPECT_NE(first, 0u);
}

TEST(RetryBudgetTest, MayBeTurnedOff) {
  RetryBudget budget({.ratio = 0, .min_concurrent = 0});
  EXPECT_FALSE(budget.TryBegin(budget.NewCause(), 1000));
}

}  // namespace
}  // namespace blockserve
