#include "router/request_registry.h"

#include <gtest/gtest.h>

namespace blockserve {
namespace {

class FakeRequest : public ActiveRequest {
 public:
  explicit FakeRequest(bool started = false) : started_(started) {}
  void End(const RpcError& error) override { reasons.push_back(error.reason); }
  bool started() const override { return started_; }

  std::vector<std::string> reasons;

 private:
  const bool started_;
};

const absl::Time kNow = absl::UnixEpoch();

TEST(RequestRegistryTest, EndsAllRequestsOfAnId) {
  RequestRegistry registry;
  auto first = std::make_shared<FakeRequest>();
  auto second = std::make_shared<FakeRequest>();
  auto other = std::make_shared<FakeRequest>();
  registry.Add("a", kNow, first);
  registry.Add("a", kNow, second);
  registry.Add("b", kNow, other);
  registry.End("a", AbortedError());
  registry.End("unknown", AbortedError());
  EXPECT_EQ(first->reasons, std::vector<std::string>{"ABORT_RPC"});
  EXPECT_EQ(second->reasons, std::vector<std::string>{"ABORT_RPC"});
  EXPECT_TRUE(other->reasons.empty());
}

TEST(RequestRegistryTest, RemovesOnlyTheRequestItself) {
  RequestRegistry registry;
  auto first = std::make_shared<FakeRequest>();
  auto second = std::make_shared<FakeRequest>();
  registry.Add("a", kNow, first);
  registry.Add("a", kNow, second);
  registry.Remove("a", first.get());
  registry.Remove("a", first.get());
  EXPECT_EQ(registry.size(), 1u);
  registry.End("a", AbortedError());
  EXPECT_TRUE(first->reasons.empty());
  EXPECT_EQ(second->reasons.size(), 1u);
}

TEST(RequestRegistryTest, EndsExpiredByWhetherTheyStarted) {
  RequestRegistry registry;
  auto waiting = std::make_shared<FakeRequest>();
  auto running = std::make_shared<FakeRequest>(/*started=*/true);
  auto in_time = std::make_shared<FakeRequest>();
  registry.Add("a", kNow, waiting);
  registry.Add("b", kNow, running);
  registry.Add("c", kNow + absl::Seconds(2), in_time);
  registry.EndExpired(kNow + absl::Seconds(1));
  EXPECT_EQ(waiting->reasons, std::vector<std::string>{"QUEUE_TIMEOUT"});
  EXPECT_EQ(running->reasons, std::vector<std::string>{"GENERATION_TIMEOUT"});
  EXPECT_TRUE(in_time->reasons.empty());
}

TEST(RequestRegistryTest, EndsAtEachDeadlineInWhateverOrderTheyCome) {
  RequestRegistry registry;
  auto late = std::make_shared<FakeRequest>();
  auto early = std::make_shared<FakeRequest>();
  auto added_last = std::make_shared<FakeRequest>();
  registry.Add("a", kNow + absl::Seconds(3), late);
  registry.Add("b", kNow + absl::Seconds(1), early);
  registry.EndExpired(kNow + absl::Seconds(1));  // not past it yet
  EXPECT_TRUE(early->reasons.empty());
  registry.EndExpired(kNow + absl::Seconds(2));
  EXPECT_EQ(early->reasons.size(), 1u);
  registry.Remove("b", early.get());
  registry.EndExpired(kNow + absl::Seconds(2));
  registry.Add("c", kNow + absl::Seconds(2), added_last);
  registry.EndExpired(kNow + absl::Seconds(4));
  EXPECT_EQ(added_last->reasons.size(), 1u);
  EXPECT_EQ(late->reasons.size(), 1u);
}

TEST(RequestRegistryTest, EndsAnExpiredOneUntilItIsRemoved) {
  RequestRegistry registry;
  auto request = std::make_shared<FakeRequest>();
  registry.Add("a", kNow, request);
  registry.EndExpired(kNow + absl::Seconds(1));
  registry.EndExpired(kNow + absl::Seconds(2));
  EXPECT_EQ(request->reasons.size(), 2u);
}

TEST(RequestRegistryTest, WaitsUntilEmpty) {
  RequestRegistry registry;
  EXPECT_TRUE(registry.WaitUntilEmpty(absl::ZeroDuration()));
  auto request = std::make_shared<FakeRequest>();
  registry.Add("a", kNow, request);
  EXPECT_FALSE(registry.WaitUntilEmpty(absl::ZeroDuration()));
  registry.EndAll([](const ActiveRequest&) { return DrainingError(); });
  EXPECT_EQ(request->reasons, std::vector<std::string>{"DRAINING"});
  registry.Remove("a", request.get());
  EXPECT_TRUE(registry.WaitUntilEmpty(absl::InfiniteDuration()));
}

}  // namespace
}  // namespace blockserve
