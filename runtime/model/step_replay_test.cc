#include "runtime/model/step_replay.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <vector>

#include "kernels/profile/forwarding_ops.h"
#include "kernels/reference/reference_ops.h"

namespace blockserve {
namespace {

constexpr int kTokensPerUnit = 4;
constexpr ModelLimits kLimits = {.max_units_per_step = 100,
                                 .max_rows_per_step = 40,
                                 .max_sequences_per_step = 50};

// A device that calls once for each key.
class ReplayingOps final : public ForwardingOps {
 public:
  using ForwardingOps::ForwardingOps;
  void Replay(uint64_t key, absl::FunctionRef<void()> enqueue) override {
    if (known_.insert(key).second) enqueue();
  }
  void ForgetReplays() override { known_.clear(); }
  bool replays() const override { return true; }

 private:
  std::set<uint64_t> known_;
};

class StepReplayTest : public testing::Test {
 protected:
  // A step in which `num_sequences` write a unit each.
  StepInput DecodeStep(int num_sequences, int num_tokens = kTokensPerUnit) {
    tokens_.assign(kTokensPerUnit, 5);
    SequenceChunk chunk;
    chunk.tokens = tokens_;
    chunk.unit_begin = 3;
    chunk.cache_length = 3;
    chunk.num_outputs = 1;
    chunks_.assign(static_cast<size_t>(num_sequences), chunk);
    rows_.assign(static_cast<size_t>(num_sequences), DecodeRow());
    return {.chunks = chunks_, .rows = rows_, .num_tokens = num_tokens};
  }
  // Whether the step's work had to be called.
  static bool IsCalled(StepReplay& replay, const StepInput& input,
                       uint32_t variant = 0) {
    (void)replay.Begin(input);
    bool is_called = false;
    replay.Run(variant, [&] { is_called = true; });
    return is_called;
  }

  std::vector<int32_t> tokens_;
  std::vector<SequenceChunk> chunks_;
  std::vector<DecodeRow> rows_;
  const std::unique_ptr<Ops> reference_ = CreateReferenceOps(DType::kFloat32);
  ReplayingOps ops_{*reference_};
  RankGroup alone_;
};

TEST_F(StepReplayTest, BatchesComeInFewSizes) {
  std::set<int> buckets;
  for (int n = 1; n <= 300; ++n) {
    const int bucket = StepReplay::BucketFor(n, 300);
    EXPECT_GE(bucket, n);
    EXPECT_LE(bucket, 300);
    EXPECT_TRUE(bucket < 2 * n || n == 1) << n;
    buckets.insert(bucket);
  }
  EXPECT_LE(buckets.size(), 15u);
}

TEST_F(StepReplayTest, FillsABatchWithUnitsWithoutTokens) {
  StepReplay replay(kLimits, kTokensPerUnit, false, alone_, ops_);
  const StepInput input = DecodeStep(3);
  const StepInput filled = replay.Begin(input);
  ASSERT_EQ(filled.chunks.size(), 4u);
  ASSERT_EQ(filled.rows.size(), 4u);
  EXPECT_EQ(filled.chunks[2].cache_length, 3);
  const SequenceChunk& last = filled.chunks[3];
  EXPECT_EQ(last.tokens.size(), size_t{kTokensPerUnit});
  EXPECT_EQ(last.token_mask, std::vector<uint8_t>(kTokensPerUnit, 0));
  EXPECT_EQ(last.cache_length, 0);
  EXPECT_EQ(last.num_outputs, 1);
  EXPECT_TRUE(last.pages.empty());
  // Never more than the model has room for.
  EXPECT_EQ(replay.Begin(DecodeStep(39)).chunks.size(), 40u);
}

TEST_F(StepReplayTest, CallsOnceForEachKindOfStep) {
  StepReplay replay(kLimits, kTokensPerUnit, false, alone_, ops_);
  EXPECT_TRUE(IsCalled(replay, DecodeStep(3)));
  EXPECT_FALSE(IsCalled(replay, DecodeStep(3)));
  EXPECT_FALSE(IsCalled(replay, DecodeStep(4)));
  EXPECT_TRUE(IsCalled(replay, DecodeStep(5)));
  EXPECT_TRUE(IsCalled(replay, DecodeStep(3, 2)));
  EXPECT_TRUE(IsCalled(replay, DecodeStep(3), /*variant=*/1));
  EXPECT_FALSE(IsCalled(replay, DecodeStep(3), /*variant=*/1));
}

TEST_F(StepReplayTest, PromptsAndScoresAreCalledAndNotFilled) {
  StepReplay replay(kLimits, kTokensPerUnit, false, alone_, ops_);
  StepInput input = DecodeStep(3);
  chunks_[1].num_outputs = 0;
  EXPECT_EQ(replay.Begin(input).chunks.size(), 3u);
  EXPECT_TRUE(IsCalled(replay, input));
  EXPECT_TRUE(IsCalled(replay, input));
  chunks_[1].num_outputs = 1;
  const std::vector<int32_t> two_units(2 * kTokensPerUnit, 5);
  chunks_[1].tokens = two_units;
  EXPECT_TRUE(IsCalled(replay, input));
  EXPECT_TRUE(IsCalled(replay, input));
}

TEST_F(StepReplayTest, ChangesNothingForAnObserverOrWithoutADevice) {
  StepReplay observed(kLimits, kTokensPerUnit, true, alone_, ops_);
  StepReplay called(kLimits, kTokensPerUnit, false, alone_, *reference_);
  for (StepReplay* replay : {&observed, &called}) {
    EXPECT_EQ(replay->Begin(DecodeStep(3)).chunks.size(), 3u);
    EXPECT_TRUE(IsCalled(*replay, DecodeStep(3)));
    EXPECT_TRUE(IsCalled(*replay, DecodeStep(3)));
  }
}

TEST_F(StepReplayTest, TheNextModelFindsNothingRecorded) {
  for (int i = 0; i < 2; ++i) {
    StepReplay replay(kLimits, kTokensPerUnit, false, alone_, ops_);
    EXPECT_TRUE(IsCalled(replay, DecodeStep(1)));
  }
}

}  // namespace
}  // namespace blockserve
