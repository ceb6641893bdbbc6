#include "runtime/scheduler/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

namespace blockserve {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr UnitLayout kLayout{.tokens_per_unit = 4, .pad_token = 0};
const absl::Time kNow = absl::UnixEpoch();

SchedulerLimits Limits() {
  return {.max_running = 4,
          .max_units_per_step = 16,
          .max_rows_per_step = 8,
          .max_units_per_sequence = 100,
          .page_length = 4,
          .num_pages = 20,
          .max_waiting = 8};
}

// A prompt of `num_units` whole units.
std::unique_ptr<Sequence> Generation(
    int num_units, int max_tokens,
    absl::Time deadline = absl::InfiniteFuture()) {
  GenerateRequest request;
  request.prompt.assign(num_units * kLayout.tokens_per_unit, 1);
  request.sampling.max_tokens = max_tokens;
  request.deadline = deadline;
  return std::make_unique<Sequence>(kLayout, request, kNow);
}

std::unique_ptr<Sequence> Scoring(int num_context_units,
                                  int num_continuation_units) {
  ScoreRequest request;
  request.context.assign(num_context_units * kLayout.tokens_per_unit, 1);
  request.continuation.assign(num_continuation_units * kLayout.tokens_per_unit,
                              2);
  return std::make_unique<Sequence>(kLayout, request, kNow);
}

std::vector<int> UnitsOf(absl::Span<const PlannedChunk> plan) {
  std::vector<int> units;
  for (const PlannedChunk& chunk : plan) units.push_back(chunk.num_units);
  return units;
}

std::vector<int> RowsOf(absl::Span<const PlannedChunk> plan) {
  std::vector<int> rows;
  for (const PlannedChunk& chunk : plan) rows.push_back(chunk.num_rows);
  return rows;
}

// What the engine does with a plan: runs it and appends what was written.
void Execute(absl::Span<const PlannedChunk> plan) {
  for (const PlannedChunk& chunk : plan) {
    chunk.sequence->Advance(chunk.num_units);
    if (chunk.sequence->is_scoring()) continue;
    for (int i = 0; i < chunk.num_rows * kLayout.tokens_per_unit; ++i) {
      chunk.sequence->AppendToken(3);
    }
  }
}

TEST(SchedulerTest, ReservesThePagesOfPromptAndAllNewTokens) {
  Scheduler scheduler(Limits());
  // 4 prompt units and 2 written ones, of which the last is not cached: 5.
  auto sequence = Generation(4, 8);
  scheduler.Enqueue(*sequence);
  EXPECT_EQ(scheduler.pages_used(), 0);
  scheduler.Admit(kNow);
  EXPECT_EQ(scheduler.pages_used(), 2);
  EXPECT_THAT(sequence->pages(), SizeIs(2));
  scheduler.End(*sequence);
  EXPECT_EQ(scheduler.pages_used(), 0);
  EXPECT_TRUE(scheduler.empty());
}

TEST(SchedulerTest, KnowsWhatCanNeverFit) {
  Scheduler scheduler(Limits());
  EXPECT_TRUE(scheduler.CanEverFit(80));
  EXPECT_FALSE(scheduler.CanEverFit(81));
  SchedulerLimits limits = Limits();
  limits.max_units_per_sequence = 10;
  EXPECT_FALSE(Scheduler(limits).CanEverFit(11));
}

TEST(SchedulerTest, AdmitsInOrderWithoutOvertaking) {
  Scheduler scheduler(Limits());
  auto holder = Generation(60, 4);
  auto large = Generation(40, 4);
  auto small = Generation(1, 4);
  for (Sequence* sequence : {holder.get(), large.get(), small.get()}) {
    scheduler.Enqueue(*sequence);
  }
  scheduler.Admit(kNow);
  EXPECT_THAT(scheduler.running(), ElementsAre(holder.get()));
  EXPECT_THAT(scheduler.waiting(), ElementsAre(large.get(), small.get()));
  scheduler.End(*holder);
  scheduler.Admit(kNow);
  EXPECT_THAT(scheduler.running(), ElementsAre(large.get(), small.get()));
  scheduler.End(*large);
  scheduler.End(*small);
}

TEST(SchedulerTest, AdmitsNoMoreThanThereAreSlots) {
  Scheduler scheduler(Limits());
  std::vector<std::unique_ptr<Sequence>> sequences;
  for (int i = 0; i < 6; ++i) {
    sequences.push_back(Generation(1, 4));
    scheduler.Enqueue(*sequences.back());
  }
  scheduler.Admit(kNow);
  EXPECT_THAT(scheduler.running(), SizeIs(4));
  EXPECT_EQ(scheduler.waiting_prompt_tokens(), 2 * 4);
  for (auto& sequence : sequences) scheduler.End(*sequence);
}

TEST(SchedulerTest, DecodesEveryStepWhileAPromptIsPrefilledInChunks) {
  Scheduler scheduler(Limits());
  auto decoding = Generation(1, 40);
  scheduler.Enqueue(*decoding);
  scheduler.Admit(kNow);
  Execute(scheduler.PlanStep());

  auto prefilling = Generation(32, 4);
  scheduler.Enqueue(*prefilling);
  scheduler.Admit(kNow);
  for (int units : {15, 15, 2}) {
    const auto plan = scheduler.PlanStep();
    EXPECT_THAT(UnitsOf(plan), ElementsAre(1, units));
    EXPECT_THAT(RowsOf(plan), ElementsAre(1, units == 2 ? 1 : 0));
    Execute(plan);
  }
  scheduler.End(*decoding);
  scheduler.End(*prefilling);
}

TEST(SchedulerTest, PrefillSharesTheBudgetFairly) {
  Scheduler scheduler(Limits());
  auto large = Generation(40, 4);
  auto small = Generation(3, 4);
  auto other = Generation(20, 4);
  for (Sequence* sequence : {large.get(), small.get(), other.get()}) {
    scheduler.Enqueue(*sequence);
  }
  scheduler.Admit(kNow);
  const auto plan = scheduler.PlanStep();
  EXPECT_THAT(UnitsOf(plan), ElementsAre(7, 3, 6));
  EXPECT_THAT(RowsOf(plan), ElementsAre(0, 1, 0));
  for (Sequence* sequence : {large.get(), small.get(), other.get()}) {
    scheduler.End(*sequence);
  }
}

TEST(SchedulerTest, ScoringIsCutByTheRowsThatAreLeft) {
  Scheduler scheduler(Limits());
  auto scoring = Scoring(3, 12);  // 14 units to run, 12 rows
  auto decoding = Generation(1, 40);
  scheduler.Enqueue(*scoring);
  scheduler.Enqueue(*decoding);
  scheduler.Admit(kNow);
  auto plan = scheduler.PlanStep();
  EXPECT_THAT(RowsOf(plan), ElementsAre(7, 1));
  EXPECT_THAT(UnitsOf(plan), ElementsAre(9, 1));
  Execute(plan);
  plan = scheduler.PlanStep();
  EXPECT_THAT(RowsOf(plan), ElementsAre(5, 1));
  EXPECT_THAT(UnitsOf(plan), ElementsAre(5, 1));
  Execute(plan);
  EXPECT_EQ(scoring->units_ready(), 0);
  scheduler.End(*scoring);
  scheduler.End(*decoding);
}

TEST(SchedulerTest, CancelFreesPagesInEveryState) {
  Scheduler scheduler(Limits());
  auto prefilling = Generation(60, 4);
  auto decoding = Generation(1, 8);
  auto waiting = Generation(60, 4);
  auto stays = Generation(1, 4);
  scheduler.Enqueue(*decoding);
  scheduler.Enqueue(*prefilling);
  scheduler.Enqueue(*waiting);
  scheduler.Enqueue(*stays);
  scheduler.Admit(kNow);
  Execute(scheduler.PlanStep());

  for (Sequence* sequence : {prefilling.get(), decoding.get(), waiting.get()}) {
    sequence->RequestCancel();
  }
  std::vector<EndedSequence> ended;
  scheduler.RemoveEnded(kNow, ended);
  EXPECT_THAT(ended, SizeIs(3));
  for (const EndedSequence& end : ended) {
    EXPECT_EQ(end.cause, EndCause::kCancelled);
    EXPECT_EQ(end.sequence->state(), Sequence::State::kEnded);
    EXPECT_THAT(end.sequence->pages(), IsEmpty());
  }
  EXPECT_EQ(scheduler.pages_used(), 0);
  scheduler.Admit(kNow);
  EXPECT_THAT(scheduler.running(), ElementsAre(stays.get()));
  scheduler.End(*stays);
}

TEST(SchedulerTest, DeadlinesSayWhereTheyWereMissed) {
  SchedulerLimits limits = Limits();
  limits.max_running = 1;
  Scheduler scheduler(limits);
  const absl::Time deadline = kNow + absl::Seconds(1);
  auto running = Generation(1, 4, deadline);
  auto waiting = Generation(1, 4, deadline);
  auto patient = Generation(1, 4, deadline + absl::Seconds(1));
  for (Sequence* sequence : {running.get(), waiting.get(), patient.get()}) {
    scheduler.Enqueue(*sequence);
  }
  scheduler.Admit(kNow);
  std::vector<EndedSequence> ended;
  scheduler.RemoveEnded(deadline - absl::Nanoseconds(1), ended);
  EXPECT_THAT(ended, IsEmpty());
  scheduler.RemoveEnded(deadline, ended);
  ASSERT_THAT(ended, SizeIs(2));
  EXPECT_EQ(ended[0].sequence, running.get());
  EXPECT_EQ(ended[0].cause, EndCause::kRunningDeadline);
  EXPECT_EQ(ended[1].sequence, waiting.get());
  EXPECT_EQ(ended[1].cause, EndCause::kQueueDeadline);
  EXPECT_EQ(scheduler.waiting_prompt_tokens(), 4);
  scheduler.End(*patient);
}

}  // namespace
}  // namespace blockserve
