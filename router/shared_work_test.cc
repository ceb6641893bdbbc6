#include "router/shared_work.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"

namespace blockserve {
namespace {

TEST(SharedWorkTest, DoesAllAlone) {
  SharedWork shared_work;
  for (const int count : {0, 1, 100}) {
    std::vector<int> calls(count);
    shared_work.Run(count, [&](int index) { ++calls[index]; });
    EXPECT_EQ(calls, std::vector<int>(count, 1));
  }
}

TEST(SharedWorkTest, HasNothingToHelpWithBetweenRuns) {
  SharedWork shared_work;
  shared_work.Help();
  shared_work.Run(10, [](int) {});
  shared_work.Help();
}

TEST(SharedWorkTest, WaitsForWhatAHelperHasBegun) {
  SharedWork shared_work;
  absl::Notification runs;
  absl::Notification helper_has_begun;
  std::atomic<int> num_done = 0;
  std::thread helper([&] {
    runs.WaitForNotification();
    shared_work.Help();
  });
  const auto caller = std::this_thread::get_id();
  shared_work.Run(5, [&](int) {
    if (std::this_thread::get_id() == caller) {
      // The caller stays in its first call until the helper is in another.
      if (!runs.HasBeenNotified()) runs.Notify();
      helper_has_begun.WaitForNotification();
    } else if (!helper_has_begun.HasBeenNotified()) {
      helper_has_begun.Notify();
      std::this_thread::yield();
    }
    ++num_done;
  });
  EXPECT_EQ(num_done, 5);
  helper.join();
}

TEST(SharedWorkTest, DoesEachPieceOnceHoweverManyHelp) {
  constexpr int kNumThreads = 4;
  constexpr int kCount = 1000;
  SharedWork shared_work;
  std::vector<std::atomic<int>> calls(2 * kCount);
  std::atomic<int> num_running = 2;
  std::vector<std::thread> threads;
  for (int i = 0; i < kNumThreads; ++i) {
    threads.emplace_back([&, i] {
      if (i < 2) {
        shared_work.Run(kCount,
                        [&](int index) { ++calls[i * kCount + index]; });
        --num_running;
      }
      while (num_running > 0) shared_work.Help();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& count : calls) EXPECT_EQ(count, 1);
}

}  // namespace
}  // namespace blockserve
