#include "runtime/bench/phases.h"

#include <gtest/gtest.h>

#include "runtime/model/model.h"

namespace blockserve {
namespace {

OpTime& At(TimedOps::Times& times, StepPart part, OpKind kind) {
  return times[static_cast<int>(part)][static_cast<int>(kind)];
}

TEST(PhasesTest, WhatOperationsDoNotExplainIsScheduling) {
  TimedOps::Times ops;
  At(ops, StepPart::kInput, OpKind::kOther).time = absl::Seconds(1);
  At(ops, StepPart::kEmbedder, OpKind::kOther).time = absl::Seconds(2);
  At(ops, StepPart::kEmbedder, OpKind::kLinear).time = absl::Seconds(3);
  At(ops, StepPart::kCachedTrunk, OpKind::kLinear).time = absl::Seconds(4);
  At(ops, StepPart::kCachedTrunk, OpKind::kAttention).time = absl::Seconds(5);
  At(ops, StepPart::kTokenDecoder, OpKind::kSampling).time = absl::Seconds(6);
  CommunicatorStats collectives;
  collectives.of(CollectiveOp::kAllReduce).time = absl::Seconds(7);
  const PhaseTimes phases = PhasesOf(ops, collectives, absl::Seconds(40));
  EXPECT_EQ(phases.of(Phase::kEmbed), absl::Seconds(5));
  EXPECT_EQ(phases.of(Phase::kBlockDecoderGemm), absl::Seconds(4));
  EXPECT_EQ(phases.of(Phase::kBlockDecoderAttention), absl::Seconds(5));
  EXPECT_EQ(phases.of(Phase::kHeadAndSampling), absl::Seconds(6));
  EXPECT_EQ(phases.of(Phase::kCollectives), absl::Seconds(7));
  // Input and output of a step belong to it.
  EXPECT_EQ(phases.of(Phase::kScheduling), absl::Seconds(13));
  EXPECT_EQ(phases.total(), absl::Seconds(40));
}

TEST(PhasesTest, EveryPhaseHasAName) {
  for (int i = 0; i < kNumPhases; ++i) {
    EXPECT_FALSE(NameOf(static_cast<Phase>(i)).empty()) << i;
  }
}

}  // namespace
}  // namespace blockserve
