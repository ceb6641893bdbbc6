// Who is let into a group, over real gRPC on loopback.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "parallel/control/group_endpoint.h"
#include "parallel/control/testing/endpoint_group.h"

namespace blockserve {
namespace {

using ::testing::HasSubstr;

class GroupJoinTest : public EndpointGroup {
 protected:
  // What an endpoint with these options gets for an answer from the leader.
  absl::Status Join(const GroupOptions& options) {
    auto endpoint =
        GroupEndpoint::Start(options, [](const absl::Status& /*why*/) {});
    if (!endpoint.ok()) return endpoint.status();
    return (*endpoint)->Form(absl::Now() + absl::Seconds(1)).status();
  }

  // Nothing that happened has done harm.
  void ExpectStillForms() {
    StartRank(1);
    EXPECT_EQ(FormAll(), 1u);
    EXPECT_EQ(broken_[0].count(), 0u);
  }
};

TEST_F(GroupJoinTest, AStrangerLearnsOnlyThatItIsOne) {
  world_size_ = 2;
  StartRank(0);
  GroupOptions options = OptionsOf(1, 2, port_);
  options.secret = "a guess";
  options.model_fingerprint = "another model, too";
  const absl::Status refused = Join(options);
  EXPECT_EQ(refused, absl::UnauthenticatedError("not a rank of this group"));
  EXPECT_EQ(At(0).snapshot().refusals["wrong_secret"], 1);
  ExpectStillForms();
}

TEST_F(GroupJoinTest, AnotherModelIsNamed) {
  world_size_ = 2;
  StartRank(0);
  GroupOptions options = OptionsOf(1, 2, port_);
  options.model_fingerprint = "another";
  const absl::Status refused = Join(options);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(refused.message(),
            "model fingerprint of rank 1: the leader has model, got another");
  EXPECT_EQ(At(0).snapshot().refusals["model"], 1);
  ExpectStillForms();
}

TEST_F(GroupJoinTest, AnotherBuildOrWorldSizeIsNamed) {
  world_size_ = 2;
  StartRank(0);
  GroupOptions options = OptionsOf(1, 2, port_);
  options.build_version = "older";
  EXPECT_EQ(Join(options).message(),
            "build version of rank 1: the leader has build, got older");
  EXPECT_EQ(Join(OptionsOf(1, 3, port_)).message(),
            "world size: the leader has 2, got 3");
  ExpectStillForms();
}

TEST_F(GroupJoinTest, ADuplicateWaitsWhileTheFirstIsThere) {
  StartAll(2);
  ASSERT_EQ(FormAll(), 1u);
  auto duplicate = GroupEndpoint::Start(OptionsOf(1, 2, port_),
                                        [](const absl::Status& /*why*/) {});
  ASSERT_TRUE(duplicate.ok());
  const absl::Status refused =
      (*duplicate)->Form(absl::Now() + absl::Milliseconds(500)).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("rank 1 is there already"));
  // The group has not noticed.
  ASSERT_TRUE(Plan("plan").ok());
  EXPECT_EQ(*At(1).NextPlan(), "plan");
  EXPECT_EQ(broken_[0].count(), 0u);
  // Its place is free once the first is gone.
  endpoints_[1].reset();
  std::thread leader([&] {
    EXPECT_EQ(At(0).Form(absl::Now() + absl::Seconds(10))->epoch, 2u);
  });
  EXPECT_EQ((*duplicate)->Form(absl::Now() + absl::Seconds(10))->epoch, 2u);
  leader.join();
}

TEST_F(GroupJoinTest, RubbishOnThePortHarmsNobody) {
  world_size_ = 2;
  StartRank(0);
  for (const std::string& rubbish :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(100000, '\xff'),
        std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") +
            std::string(5000, '\0')}) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port_));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(
        connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    // The leader may hang up before all is sent.
    EXPECT_GT(send(fd, rubbish.data(), rubbish.size(), MSG_NOSIGNAL), 0);
    close(fd);
  }
  ExpectStillForms();
}

TEST_F(GroupJoinTest, OptionsThatCannotWorkAreRefused) {
  const auto ignore = [](const absl::Status& /*why*/) {};
  GroupOptions options = OptionsOf(0, 2, 0);
  options.secret.clear();
  options.listen_address = "0.0.0.0:0";
  EXPECT_THAT(
      std::string(GroupEndpoint::Start(options, ignore).status().message()),
      HasSubstr("needs a secret"));
  options = OptionsOf(1, 2, 0);
  EXPECT_THAT(
      std::string(GroupEndpoint::Start(options, ignore).status().message()),
      HasSubstr("expected a port"));
  EXPECT_THAT(
      std::string(
          GroupEndpoint::Start(OptionsOf(2, 2, 1), ignore).status().message()),
      HasSubstr("rank: expected one in [0, 2), got 2"));
}

TEST_F(GroupJoinTest, ATakenPortIsNamed) {
  world_size_ = 2;
  StartRank(0);
  GroupOptions options = OptionsOf(0, 2, 0);
  options.listen_address = absl::StrCat("127.0.0.1:", port_);
  const auto second =
      GroupEndpoint::Start(options, [](const absl::Status& /*why*/) {});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr(absl::StrCat(port_)));
}

}  // namespace
}  // namespace blockserve
