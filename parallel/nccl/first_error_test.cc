#include "parallel/nccl/first_error.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace blockserve {
namespace {

TEST(FirstErrorTest, KeepsTheFirst) {
  FirstError error;
  EXPECT_FALSE(error.is_set());
  EXPECT_TRUE(error.status().ok());
  EXPECT_TRUE(error.Set(absl::UnavailableError("a peer is gone")));
  EXPECT_FALSE(error.Set(absl::AbortedError("aborted")));
  EXPECT_TRUE(error.is_set());
  EXPECT_EQ(error.status(), absl::UnavailableError("a peer is gone"));
}

TEST(FirstErrorTest, ExactlyOneOfManyThreadsIsTheFirst) {
  for (int round = 0; round < 100; ++round) {
    FirstError error;
    std::atomic<int> num_first = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        if (error.Set(absl::AbortedError("aborted"))) ++num_first;
        EXPECT_FALSE(error.status().ok());
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(num_first, 1);
  }
}

}  // namespace
}  // namespace blockserve
