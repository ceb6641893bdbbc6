#include "parallel/control/group_endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace blockserve {
namespace {

using ::testing::ElementsAre;

GroupOptions BaseOptions(int rank, int world_size) {
  GroupOptions options;
  options.rank = rank;
  options.world_size = world_size;
  options.listen_address = "127.0.0.1:0";
  options.secret = "a secret of the group";
  options.model_fingerprint = "model";
  options.build_version = "build";
  options.host_id = "host";
  options.step_timeout = absl::Seconds(2);
  return options;
}

TEST(GroupEndpointTest, FormsExchangesPlans) {
  auto ignore = [](const absl::Status&) {};
  auto leader = GroupEndpoint::Start(BaseOptions(0, 3), ignore);
  ASSERT_TRUE(leader.ok()) << leader.status();
  std::vector<std::unique_ptr<GroupEndpoint>> ranks;
  ranks.push_back(*std::move(leader));
  for (int rank = 1; rank < 3; ++rank) {
    GroupOptions options = BaseOptions(rank, 3);
    options.leader_address = absl::StrCat("127.0.0.1:", ranks[0]->port());
    auto member = GroupEndpoint::Start(options, ignore);
    ASSERT_TRUE(member.ok()) << member.status();
    ranks.push_back(*std::move(member));
  }
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 3; ++rank) {
    threads.emplace_back([&, rank] {
      GroupEndpoint& endpoint = *ranks[static_cast<size_t>(rank)];
      auto formation = endpoint.Form(absl::Now() + absl::Seconds(10));
      ASSERT_TRUE(formation.ok()) << formation.status();
      EXPECT_EQ(formation->epoch, 1u);
      EXPECT_TRUE(formation->one_host);
      EXPECT_EQ(formation->ranks.size(), 3u);
      auto blobs = endpoint.ExchangeBlobs(absl::StrCat("blob ", rank));
      ASSERT_TRUE(blobs.ok()) << blobs.status();
      EXPECT_THAT(*blobs, ElementsAre("blob 0", "blob 1", "blob 2"));
      for (uint64_t step = 1; step <= 100; ++step) {
        const std::string expected = absl::StrCat("plan ", step);
        if (rank == 0) {
          ASSERT_TRUE(endpoint
                          .SendPlan(absl::MakeConstSpan(
                              reinterpret_cast<const uint8_t*>(expected.data()),
                              expected.size()))
                          .ok());
        } else {
          auto plan = endpoint.NextPlan();
          ASSERT_TRUE(plan.ok()) << plan.status();
          EXPECT_EQ(*plan, expected);
        }
        endpoint.ReportStep(
            {step, absl::Milliseconds(3), absl::Milliseconds(1)});
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace blockserve
