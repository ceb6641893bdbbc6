// A leader and a follower over a real control plane and real collectives, as
// threads of this process.
#include "runtime/group/group_model.h"

#include <gtest/gtest.h>

#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "kernels/reference/reference_ops.h"
#include "runtime/group/collective_bytes.h"
#include "runtime/group/group_rank.h"
#include "runtime/model/model.h"
#include "runtime/model/testing/generate.h"

namespace blockserve {
namespace {

constexpr char kModel[] = "tests/testdata/golden/a_main_b4_r2_hd32";

ModelLimits Limits() {
  return {.max_units_per_step = 32,
          .max_rows_per_step = 4,
          .max_sequences_per_step = 4,
          .max_units_per_sequence = 32,
          .num_pages = 8};
}

GroupRankOptions OptionsOf(int rank, int port, const std::string& collectives) {
  GroupRankOptions options;
  options.control.rank = rank;
  options.control.world_size = 2;
  options.control.listen_address = "127.0.0.1:0";
  options.control.leader_address = absl::StrCat("127.0.0.1:", port);
  options.control.step_timeout = absl::Seconds(2);
  options.collectives = collectives;
  options.bind_address = "127.0.0.1";
  options.control.host_id = "here";
  return options;
}

// One rank: membership, device and model.
struct TestRank {
  std::unique_ptr<GroupRank> member;
  std::unique_ptr<Ops> ops = CreateReferenceOps(DType::kFloat32);
  std::unique_ptr<Model> model;

  TestRank(int rank, int port, const std::string& collectives) {
    auto started = GroupRank::Start(OptionsOf(rank, port, collectives));
    EXPECT_TRUE(started.ok()) << started.status();
    member = *std::move(started);
    ModelOptions options;
    options.limits = Limits();
    options.group = &member->group();
    auto loaded = LoadModel(kModel, options, *ops);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    model = *std::move(loaded);
  }

  absl::Status Join() {
    const auto formed = member->Form(absl::Now() + absl::Seconds(20));
    if (!formed.ok()) return formed.status();
    return member->Connect(MaxCollectiveBytes(model->config(), Limits()));
  }
};

// A follower's process: joins and steps until its epoch ends.
class Follower {
 public:
  Follower(int port, const std::string& collectives)
      : rank_(1, port, collectives), thread_([this] {
          const absl::Status joined = rank_.Join();
          ended_ = joined.ok() ? RunPlans(*rank_.model, *rank_.member, nullptr)
                               : joined;
        }) {}
  ~Follower() {
    rank_.member->Stop();
    if (thread_.joinable()) thread_.join();
  }

  TestRank& rank() { return rank_; }
  // Leaves as a killed process does.
  absl::Status Kill() {
    rank_.member->Stop();
    thread_.join();
    return ended_;
  }

 private:
  TestRank rank_;
  absl::Status ended_;
  std::thread thread_;
};

class GroupModelTest : public ::testing::TestWithParam<std::string> {
 protected:
  static void SetUpTestSuite() { std::signal(SIGPIPE, SIG_IGN); }

  static std::vector<TestPrompt> Prompts() {
    return {{RandomTokens(12, 500, 3), {}}, {RandomTokens(20, 500, 4), {}}};
  }

  static std::vector<Generated> GenerateAlone() {
    auto ops = CreateReferenceOps(DType::kFloat32);
    ModelOptions options;
    options.limits = Limits();
    auto model = LoadModel(kModel, options, *ops);
    EXPECT_TRUE(model.ok()) << model.status();
    auto generated = Generate(**model, Prompts());
    EXPECT_TRUE(generated.ok()) << generated.status();
    return *generated;
  }
};

TEST_P(GroupModelTest, ALeaderAndAFollowerWriteWhatOneRankWrites) {
  TestRank leader(0, 0, GetParam());
  Follower follower(leader.member->endpoint().port(), GetParam());
  ASSERT_TRUE(leader.Join().ok());
  int num_steps = 0;
  GroupModel model(
      *leader.model, leader.member.get(), [&](const StepTimes& times) {
        ++num_steps;
        EXPECT_GT(times.step, absl::ZeroDuration());
        EXPECT_EQ(times.collectives.of(CollectiveOp::kAllGather).num_calls, 1);
      });
  const auto generated = Generate(model, Prompts());
  ASSERT_TRUE(generated.ok()) << generated.status();
  const std::vector<Generated> alone = GenerateAlone();
  for (size_t i = 0; i < alone.size(); ++i) {
    EXPECT_EQ((*generated)[i].tokens, alone[i].tokens);
  }
  EXPECT_GE(num_steps, 3);
}

TEST_P(GroupModelTest, ARefusedInputBreaksNothing) {
  TestRank leader(0, 0, GetParam());
  Follower follower(leader.member->endpoint().port(), GetParam());
  ASSERT_TRUE(leader.Join().ok());
  GroupModel model(*leader.model, leader.member.get());
  const TestPrompt too_large = {{1, 2, 3, 1 << 20}, {}};
  EXPECT_EQ(Generate(model, {too_large}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(Generate(model, Prompts()).ok());
}

TEST_P(GroupModelTest, ALostRankBreaksTheEpochAndANewOneServesAgain) {
  TestRank leader(0, 0, GetParam());
  const int port = leader.member->endpoint().port();
  GroupModel model(*leader.model, leader.member.get());
  {
    Follower follower(port, GetParam());
    ASSERT_TRUE(leader.Join().ok());
    ASSERT_TRUE(Generate(model, Prompts()).ok());
    const absl::Status ended = follower.Kill();
    EXPECT_EQ(ended.code(), absl::StatusCode::kUnavailable) << ended;
  }
  // Noticed by itself or by the next step, whichever is first.
  const absl::Status failed = Generate(model, Prompts()).status();
  EXPECT_EQ(failed.code(), absl::StatusCode::kUnavailable) << failed;
  EXPECT_FALSE(leader.member->broken().ok());

  Follower another(port, GetParam());
  const absl::Status joined = leader.Join();
  ASSERT_TRUE(joined.ok()) << joined;
  EXPECT_TRUE(leader.member->broken().ok());
  const auto generated = Generate(model, Prompts());
  ASSERT_TRUE(generated.ok()) << generated.status();
  EXPECT_EQ((*generated)[0].tokens, GenerateAlone()[0].tokens);
}

TEST_P(GroupModelTest, AnIdleLeaderHearsOfALostRank) {
  TestRank leader(0, 0, GetParam());
  Follower follower(leader.member->endpoint().port(), GetParam());
  ASSERT_TRUE(leader.Join().ok());
  follower.Kill().IgnoreError();
  const absl::Time deadline = absl::Now() + absl::Seconds(5);
  while (leader.member->broken().ok() && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(5));
  }
  EXPECT_FALSE(leader.member->broken().ok());
}

INSTANTIATE_TEST_SUITE_P(All, GroupModelTest, ::testing::Values("shm", "gloo"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace blockserve
