#include "runtime/bench/machine_load.h"

#include <gtest/gtest.h>

namespace blockserve {
namespace {

TEST(MachineLoadTest, ReadsTheSumOfAllCores) {
  const auto times =
      ParseCpuTimes("cpu  100 200 300 400 500 10 20 70 0 0", 100);
  ASSERT_TRUE(times.has_value());
  EXPECT_DOUBLE_EQ(times->total, 16);
  EXPECT_DOUBLE_EQ(times->idle, 9);
  EXPECT_FALSE(ParseCpuTimes("cpu0 1 2 3 4 5 6 7 8", 100).has_value());
  EXPECT_FALSE(ParseCpuTimes("cpu 1 2 3", 100).has_value());
  EXPECT_FALSE(ParseCpuTimes("", 100).has_value());
}

TEST(MachineLoadTest, WhatIsNeitherIdleNorOursIsOthers) {
  const CpuTimes begin{.total = 100, .idle = 50, .own = 10};
  EXPECT_DOUBLE_EQ(OthersShare(begin, {.total = 120, .idle = 55, .own = 20}),
                   0.25);
  EXPECT_DOUBLE_EQ(OthersShare(begin, {.total = 120, .idle = 50, .own = 31}),
                   0);
  EXPECT_DOUBLE_EQ(OthersShare(begin, begin), 0);
}

TEST(MachineLoadTest, ThisSystemTells) {
  const auto times = ReadCpuTimes();
  ASSERT_TRUE(times.has_value());
  EXPECT_GT(times->total, times->idle);
  EXPECT_GE(times->own, 0);
}

}  // namespace
}  // namespace blockserve
