#include "router/discovery_watcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace blockserve {
namespace {

using testing::ElementsAre;
using Addresses = std::vector<std::string>;

// Answers with what the test has set.
class FakeSource : public DiscoverySource {
 public:
  explicit FakeSource(std::vector<absl::StatusOr<Addresses>> answers)
      : answers_(std::move(answers)) {}

  std::string description() const override { return "fake"; }
  absl::Duration poll_interval() const override {
    return absl::Milliseconds(1);
  }
  absl::StatusOr<Addresses> Poll() override {
    const auto answer = answers_[next_];
    if (next_ + 1 < answers_.size()) ++next_;
    return answer;
  }

 private:
  const std::vector<absl::StatusOr<Addresses>> answers_;
  size_t next_ = 0;
};

TEST(DiscoveryWatcherTest, TellsEveryNewListOnceAndKeepsTheOldOnErrors) {
  absl::Mutex mutex;
  absl::CondVar changed;
  std::vector<Addresses> told;
  std::vector<absl::StatusOr<Addresses>> answers = {
      Addresses{"a:1"},
      Addresses{"a:1"},
      absl::UnavailableError("no answer"),
      absl::UnavailableError("no answer"),
      Addresses{"a:1"},
      Addresses{"b:1"}};
  DiscoveryWatcher watcher(std::make_unique<FakeSource>(std::move(answers)),
                           [&](Addresses addresses) {
                             absl::MutexLock lock(&mutex);
                             told.push_back(std::move(addresses));
                             changed.Signal();
                           });
  absl::MutexLock lock(&mutex);
  ASSERT_FALSE(told.empty());  // the first at once
  while (told.size() < 2) changed.Wait(&mutex);
  EXPECT_THAT(told, ElementsAre(Addresses{"a:1"}, Addresses{"b:1"}));
}

}  // namespace
}  // namespace blockserve
