#include "kernels/cuda_host/schedule.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

namespace blockserve::cuda_host {
namespace {

// The order of `count` threads that each run once.
std::vector<int> OrderOf(Policy policy, int count, int seed) {
  std::minstd_rand random(seed);
  ThreadPicker picker;
  picker.Reset(count, policy, &random);
  std::vector<int> order;
  while (!picker.empty()) order.push_back(picker.Pick());
  return order;
}

TEST(ThreadPickerTest, EveryThreadRunsOnce) {
  for (const Policy policy : kPolicies) {
    for (const int count : {1, 31, 32, 33, 100, 1024}) {
      const std::vector<int> order = OrderOf(policy, count, 3);
      EXPECT_EQ(order.size(), static_cast<size_t>(count));
      EXPECT_EQ(std::set<int>(order.begin(), order.end()).size(),
                static_cast<size_t>(count));
    }
  }
}

TEST(ThreadPickerTest, ForwardAndReverseAreWhatTheySay) {
  EXPECT_EQ(OrderOf(Policy::kForward, 3, 1), (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(OrderOf(Policy::kReverse, 3, 1), (std::vector<int>{2, 1, 0}));
}

TEST(ThreadPickerTest, SeedsGiveOrdersAndTheSameSeedTheSame) {
  for (const Policy policy : {Policy::kRandomThreads, Policy::kRandomWarps}) {
    EXPECT_EQ(OrderOf(policy, 128, 5), OrderOf(policy, 128, 5));
    EXPECT_NE(OrderOf(policy, 128, 5), OrderOf(policy, 128, 6));
  }
}

// What finds a barrier that is missing between warps.
TEST(ThreadPickerTest, RandomWarpsLetOneRunAhead) {
  const std::vector<int> order = OrderOf(Policy::kRandomWarps, 128, 1);
  std::set<int> warps;
  for (int i = 0; i < 32; ++i) warps.insert(order[i] / 32);
  EXPECT_LE(warps.size(), 2u);
}

TEST(ThreadPickerTest, ThreadsComeBack) {
  std::minstd_rand random(1);
  ThreadPicker picker;
  picker.Reset(2, Policy::kForward, &random);
  EXPECT_EQ(picker.Pick(), 0);
  picker.MakeReady(0);
  EXPECT_EQ(picker.Pick(), 1);
  EXPECT_EQ(picker.Pick(), 0);
  EXPECT_TRUE(picker.empty());
}

}  // namespace
}  // namespace blockserve::cuda_host
