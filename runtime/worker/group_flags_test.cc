#include "runtime/worker/group_flags.h"

#include <fstream>
#include <functional>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace blockserve {
namespace {

using ::testing::HasSubstr;
using Environment = std::map<std::string, std::string>;

constexpr char kSecret[] = "sixteen bytes ..";

GroupFlags Follower() {
  GroupFlags flags;
  flags.rank = 1;
  flags.world_size = 2;
  flags.leader = "127.0.0.1:700";
  return flags;
}

GroupFlags Leader() {
  GroupFlags flags;
  flags.rank = 0;
  flags.world_size = 2;
  flags.host = "127.0.0.1";
  return flags;
}

// As LeaderWorkerSet tells the second of three ranks.
Environment OfLeaderWorkerSet() {
  return {{"LWS_WORKER_INDEX", "1"},
          {"LWS_GROUP_SIZE", "3"},
          {"LWS_LEADER_ADDRESS", "localhost"}};
}

std::string SecretFile(const std::string& text) {
  const std::string path = ::testing::TempDir() + "/secret";
  std::ofstream(path) << text;
  return path;
}

TEST(GroupFlagsTest, OneRankAloneIsNoGroup) {
  const auto place = ResolveGroup({}, {});
  ASSERT_TRUE(place.ok()) << place.status();
  EXPECT_FALSE(place->group.has_value());
  EXPECT_FALSE(place->exit_on_failure);
  EXPECT_FALSE(ResolveGroup({}, {{"LWS_GROUP_SIZE", "1"}})->group.has_value());
}

TEST(GroupFlagsTest, ALeaderListensWhereItIsTold) {
  GroupFlags flags = Leader();
  flags.group_port = 0;
  flags.step_timeout = absl::Seconds(2);
  flags.collectives = "gloo";
  flags.on_group_failure = "exit";
  const auto place = ResolveGroup(flags, {});
  ASSERT_TRUE(place.ok()) << place.status();
  EXPECT_TRUE(place->exit_on_failure);
  const GroupRankOptions& group = *place->group;
  EXPECT_EQ(group.control.rank, 0);
  EXPECT_EQ(group.control.world_size, 2);
  EXPECT_EQ(group.control.listen_address, "127.0.0.1:0");
  EXPECT_EQ(group.control.step_timeout, absl::Seconds(2));
  EXPECT_EQ(group.collectives, "gloo");
  EXPECT_EQ(group.bind_address, "127.0.0.1");
}

TEST(GroupFlagsTest, AnInterfaceCountsMoreThanTheHost) {
  GroupFlags flags = Leader();
  flags.host = "0.0.0.0";
  // All interfaces: peers still have to be told of one.
  EXPECT_NE(ResolveGroup(flags, {})->group->bind_address, "0.0.0.0");
  EXPECT_EQ(ResolveGroup(flags, {})->group->control.listen_address,
            "0.0.0.0:50053");
  flags.bind_interface = "lo";
  const auto place = ResolveGroup(flags, {});
  ASSERT_TRUE(place.ok()) << place.status();
  EXPECT_EQ(place->group->control.listen_address, "127.0.0.1:50053");
  EXPECT_EQ(place->group->bind_address, "127.0.0.1");
}

TEST(GroupFlagsTest, AFollowerBindsToTheRouteToItsLeader) {
  const auto place = ResolveGroup(Follower(), {});
  ASSERT_TRUE(place.ok()) << place.status();
  EXPECT_EQ(place->group->control.rank, 1);
  EXPECT_EQ(place->group->control.leader_address, "127.0.0.1:700");
  EXPECT_EQ(place->group->bind_address, "127.0.0.1");
}

// A name that is not known yet must not keep a rank from starting.
TEST(GroupFlagsTest, ALeaderWithoutARouteIsWaitedFor) {
  GroupFlags flags = Follower();
  flags.leader = "no.such.host.invalid:700";
  const auto place = ResolveGroup(flags, {});
  ASSERT_TRUE(place.ok()) << place.status();
  EXPECT_EQ(place->group->control.leader_address, flags.leader);
  EXPECT_FALSE(place->group->bind_address.empty());
}

TEST(GroupFlagsTest, LeaderWorkerSetFillsInWhatFlagsLeaveOut) {
  const auto place = ResolveGroup({}, OfLeaderWorkerSet());
  ASSERT_TRUE(place.ok()) << place.status();
  EXPECT_EQ(place->group->control.rank, 1);
  EXPECT_EQ(place->group->control.world_size, 3);
  EXPECT_EQ(place->group->control.leader_address, "localhost:50053");
}

TEST(GroupFlagsTest, FlagsCountMoreThanLeaderWorkerSet) {
  GroupFlags flags;
  flags.rank = 3;
  flags.world_size = 4;
  flags.leader = "127.0.0.1:1";
  const auto place = ResolveGroup(flags, OfLeaderWorkerSet());
  ASSERT_TRUE(place.ok()) << place.status();
  EXPECT_EQ(place->group->control.rank, 3);
  EXPECT_EQ(place->group->control.world_size, 4);
  EXPECT_EQ(place->group->control.leader_address, "127.0.0.1:1");
}

TEST(GroupFlagsTest, TheSecretComesFromTheFileOrElseTheEnvironment) {
  GroupFlags flags = Leader();
  EXPECT_EQ(ResolveGroup(flags, {})->group->control.secret, "");
  const Environment environment = {
      {"BLOCKSERVE_GROUP_SECRET", "another one, from the environment"}};
  EXPECT_EQ(ResolveGroup(flags, environment)->group->control.secret,
            "another one, from the environment");
  // An editor's new line is no part of it.
  flags.secret_file = SecretFile(absl::StrCat(kSecret, "\n"));
  EXPECT_EQ(ResolveGroup(flags, environment)->group->control.secret, kSecret);
}

TEST(GroupFlagsTest, RefusesASecretThatIsShortHugeOrNotThere) {
  GroupFlags flags = Leader();
  absl::Status status =
      ResolveGroup(flags, {{"BLOCKSERVE_GROUP_SECRET", "fifteen bytes ."}})
          .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("at least 16 bytes, got 15"));
  // Blanks at the end do not count.
  flags.secret_file = SecretFile("fifteen bytes .\n\n\n");
  EXPECT_EQ(ResolveGroup(flags, {}).status().code(),
            absl::StatusCode::kInvalidArgument);
  flags.secret_file = SecretFile(std::string(5000, 's'));
  EXPECT_FALSE(ResolveGroup(flags, {}).ok());
  flags.secret_file = "/no/such/secret";
  status = ResolveGroup(flags, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/no/such/secret"));
}

TEST(GroupFlagsTest, NeverTellsTheSecret) {
  const absl::Status status =
      ResolveGroup(Leader(), {{"BLOCKSERVE_GROUP_SECRET", "my password"}})
          .status();
  EXPECT_EQ(status.message().find("password"), absl::string_view::npos);
}

TEST(GroupFlagsTest, NamesTheFlagOrVariableThatIsWrong) {
  struct Case {
    std::function<void(GroupFlags&)> change;  // of a follower's flags
    Environment environment;
    std::string message;
  };
  const Case cases[] = {
      {[](GroupFlags& f) { f.rank = 2; },
       {},
       "--rank must be in [0, --world_size = 2), got 2"},
      {[](GroupFlags& f) { f.rank = -2; }, {}, "--rank must be"},
      {[](GroupFlags& f) { f.world_size = 0; },
       {},
       "--world_size must be in [1, 64], got 0"},
      {[](GroupFlags& f) { f.world_size = 65; }, {}, "--world_size must be"},
      {[](GroupFlags& f) { f.world_size = -1; },
       {},
       "--rank must be in [0, --world_size = 1), got 1"},
      {[](GroupFlags& f) { f.rank = -1; },
       {{"LWS_WORKER_INDEX", "first"}},
       "LWS_WORKER_INDEX must be a number, got \"first\""},
      {[](GroupFlags& f) { f.world_size = -1; },
       {{"LWS_GROUP_SIZE", "2x"}},
       "LWS_GROUP_SIZE must be a number, got \"2x\""},
      {[](GroupFlags& f) { f.rank = -1; },
       {{"LWS_WORKER_INDEX", "7"}},
       "--rank must be in [0, --world_size = 2), got 7"},
      {[](GroupFlags& f) { f.leader = ""; },
       {},
       "--leader must be HOST:PORT of rank 0's --group_port, got \"\""},
      {[](GroupFlags& f) { f.leader = "host"; }, {}, "--leader must be"},
      {[](GroupFlags& f) { f.leader = "host:0"; }, {}, "--leader must be"},
      {[](GroupFlags& f) { f.leader = "host:70000"; }, {}, "--leader must be"},
      {[](GroupFlags& f) { f.leader = ":50053"; }, {}, "--leader must be"},
      {[](GroupFlags& f) { f.leader = "", f.group_port = 0; },
       {{"LWS_LEADER_ADDRESS", "leader"}},
       "got \"leader:0\""},
      {[](GroupFlags& f) { f.group_port = 65536; },
       {},
       "--group_port must be in [0, 65535], got 65536"},
      {[](GroupFlags& f) { f.group_port = -1; }, {}, "--group_port must be"},
      {[](GroupFlags& f) { f.bind_interface = "nosuch0"; },
       {},
       "--bind_interface: "},
      {[](GroupFlags& f) { f.step_timeout = absl::Milliseconds(99); },
       {},
       "--step_timeout must be in [100ms, 1h], got 99ms"},
      {[](GroupFlags& f) { f.step_timeout = absl::Minutes(61); },
       {},
       "--step_timeout must be"},
      {[](GroupFlags& f) { f.step_timeout = absl::InfiniteDuration(); },
       {},
       "--step_timeout must be"},
      {[](GroupFlags& f) { f.on_group_failure = "panic"; },
       {},
       "--on_group_failure must be rejoin or exit, got \"panic\""},
      {[](GroupFlags& f) { f.collectives = "mpi"; },
       {},
       "--collectives must be auto, shm, gloo or nccl, got \"mpi\""},
  };
  for (const Case& bad : cases) {
    GroupFlags flags = Follower();
    bad.change(flags);
    const absl::Status status = ResolveGroup(flags, bad.environment).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad.message;
    EXPECT_THAT(std::string(status.message()), HasSubstr(bad.message));
  }
}

// A typing error must not wait for the day on which there is a second rank.
TEST(GroupFlagsTest, OneRankAloneIsHeldToTheRules) {
  GroupFlags flags;
  flags.on_group_failure = "panic";
  EXPECT_FALSE(ResolveGroup(flags, {}).ok());
}

}  // namespace
}  // namespace blockserve
