#include "runtime/cache/page_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

namespace blockserve {
namespace {

using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

TEST(PagePoolTest, HandsOutEveryPageOnce) {
  PagePool pool(3);
  std::vector<int32_t> pages;
  ASSERT_TRUE(pool.Allocate(3, pages));
  EXPECT_THAT(pages, UnorderedElementsAre(0, 1, 2));
  EXPECT_EQ(pool.num_free(), 0);
  EXPECT_EQ(pool.num_used(), 3);
}

TEST(PagePoolTest, RefusesMoreThanIsFreeAndChangesNothing) {
  PagePool pool(2);
  std::vector<int32_t> pages;
  EXPECT_FALSE(pool.Allocate(3, pages));
  EXPECT_THAT(pages, IsEmpty());
  EXPECT_EQ(pool.num_free(), 2);
}

TEST(PagePoolTest, AppendsToWhatIsHeld) {
  PagePool pool(4);
  std::vector<int32_t> pages;
  ASSERT_TRUE(pool.Allocate(1, pages));
  ASSERT_TRUE(pool.Allocate(2, pages));
  EXPECT_EQ(pages.size(), 3u);
  EXPECT_EQ(pool.num_used(), 3);
}

TEST(PagePoolTest, FreedPagesAreHandedOutAgain) {
  PagePool pool(2);
  std::vector<int32_t> pages;
  ASSERT_TRUE(pool.Allocate(2, pages));
  pool.Free(pages);
  EXPECT_EQ(pool.num_used(), 0);
  std::vector<int32_t> again;
  ASSERT_TRUE(pool.Allocate(2, again));
  EXPECT_THAT(again, UnorderedElementsAre(0, 1));
}

TEST(PagePoolTest, AllocatingNothingAlwaysWorks) {
  PagePool pool(0);
  std::vector<int32_t> pages;
  EXPECT_TRUE(pool.Allocate(0, pages));
}

TEST(PagePoolTest, CountsExactlyUnderRandomUse) {
  constexpr int kNumPages = 50;
  PagePool pool(kNumPages);
  std::mt19937 random(1);
  std::vector<std::vector<int32_t>> held;
  int num_held = 0;
  for (int i = 0; i < 5000; ++i) {
    if (random() % 2 == 0) {
      const int count = static_cast<int>(random() % 8);
      std::vector<int32_t> pages;
      const bool fits = count <= kNumPages - num_held;
      ASSERT_EQ(pool.Allocate(count, pages), fits);
      if (!fits) continue;
      num_held += count;
      held.push_back(pages);
    } else if (!held.empty()) {
      std::swap(held[random() % held.size()], held.back());
      num_held -= static_cast<int>(held.back().size());
      pool.Free(held.back());
      held.pop_back();
    }
    ASSERT_EQ(pool.num_used(), num_held);
    std::set<int32_t> distinct;
    for (const auto& pages : held) distinct.insert(pages.begin(), pages.end());
    ASSERT_EQ(static_cast<int>(distinct.size()), num_held);
  }
}

TEST(PagePoolDeathTest, FreeingTwiceIsABug) {
  PagePool pool(2);
  std::vector<int32_t> pages;
  ASSERT_TRUE(pool.Allocate(1, pages));
  pool.Free(pages);
  EXPECT_DEATH(pool.Free(pages), "freed twice");
}

TEST(PagePoolDeathTest, FreeingAnUnknownPageIsABug) {
  PagePool pool(2);
  EXPECT_DEATH(pool.Free({2}), "not one of 2");
}

}  // namespace
}  // namespace blockserve
