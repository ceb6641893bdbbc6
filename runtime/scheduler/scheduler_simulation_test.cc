// Random arrivals, cancellations and deadlines against the scheduler, with what
// must hold after every step.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <set>

#include "runtime/scheduler/scheduler.h"

namespace blockserve {
namespace {

class Simulation {
 public:
  explicit Simulation(uint32_t seed)
      : random_(seed), limits_(RandomLimits()), scheduler_(limits_) {
    layout_.tokens_per_unit = 1 << Random(0, 3);
  }

  void Run(int num_steps) {
    for (step_ = 0; step_ < num_steps; ++step_) {
      for (int n = Random(0, 3); n > 0; --n) Arrive();
      CancelSome();
      Step();
      if (testing::Test::HasFatalFailure()) return;
    }
    // Nothing starves: what is left drains without new arrivals.
    for (; !scheduler_.empty(); ++step_) {
      ASSERT_LT(step_, 100 * num_steps) << "no progress";
      Step();
      if (testing::Test::HasFatalFailure()) return;
    }
    EXPECT_EQ(scheduler_.pages_used(), 0);
    EXPECT_EQ(scheduler_.waiting_prompt_tokens(), 0);
    for (const auto& sequence : sequences_) {
      EXPECT_EQ(sequence->state(), Sequence::State::kEnded);
    }
  }

 private:
  int Random(int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random_);
  }

  SchedulerLimits RandomLimits() {
    SchedulerLimits limits;
    limits.max_running = Random(1, 12);
    limits.max_units_per_step = limits.max_running + Random(0, 20);
    limits.max_rows_per_step = limits.max_running + Random(0, 6);
    limits.max_units_per_sequence = Random(5, 60);
    limits.page_length = Random(1, 16);
    limits.num_pages = Random(5, 40);
    return limits;
  }

  absl::Time Now() const { return absl::UnixEpoch() + absl::Seconds(step_); }

  void Arrive() {
    const int num_prompt = Random(1, 20 * layout_.tokens_per_unit);
    const int num_new = Random(1, 10 * layout_.tokens_per_unit);
    if (!scheduler_.CanEverFit(layout_.UnitsToCache(num_prompt, num_new))) {
      return;
    }
    const absl::Time deadline = Random(0, 4) == 0
                                    ? Now() + absl::Seconds(Random(0, 30))
                                    : absl::InfiniteFuture();
    if (Random(0, 3) == 0) {
      ScoreRequest request;
      request.context.assign(num_prompt, 1);
      request.continuation.assign(num_new, 2);
      request.deadline = deadline;
      Add(std::make_unique<Sequence>(layout_, request, Now()));
    } else {
      GenerateRequest request;
      request.prompt.assign(num_prompt, 1);
      request.sampling.max_tokens = num_new;
      request.resume_tokens.assign(Random(0, num_new - 1), 3);
      request.deadline = deadline;
      Add(std::make_unique<Sequence>(layout_, request, Now()));
    }
  }

  void Add(std::unique_ptr<Sequence> sequence) {
    scheduler_.Enqueue(*sequence);
    arrivals_.push_back(sequence.get());
    sequences_.push_back(std::move(sequence));
  }

  void CancelSome() {
    if (Random(0, 3) != 0 || sequences_.empty()) return;
    sequences_[Random(0, static_cast<int>(sequences_.size()) - 1)]
        ->RequestCancel();
  }

  void Step() {
    ended_.clear();
    scheduler_.RemoveEnded(Now(), ended_);
    for (const EndedSequence& end : ended_) {
      ASSERT_TRUE(end.sequence->cancelled() ||
                  end.sequence->deadline() <= Now());
      Forget(end.sequence);
    }
    const std::vector<Sequence*> before(scheduler_.running().begin(),
                                        scheduler_.running().end());
    scheduler_.Admit(Now());
    CheckAdmission(before);
    CheckPages();
    const auto plan = scheduler_.PlanStep();
    CheckPlan(plan);
    if (testing::Test::HasFatalFailure()) return;
    Execute(plan);
  }

  void Forget(Sequence* sequence) {
    arrivals_.erase(std::remove(arrivals_.begin(), arrivals_.end(), sequence),
                    arrivals_.end());
  }

  // In order of arrival, and the head waits only for a slot or for pages.
  void CheckAdmission(const std::vector<Sequence*>& before) {
    ASSERT_TRUE(
        std::equal(before.begin(), before.end(), scheduler_.running().begin()));
    std::vector<Sequence*> order(scheduler_.running().begin(),
                                 scheduler_.running().end());
    order.insert(order.end(), scheduler_.waiting().begin(),
                 scheduler_.waiting().end());
    ASSERT_EQ(order, arrivals_);
    if (scheduler_.waiting().empty()) return;
    const int num_units = scheduler_.waiting().front()->units_to_cache();
    const int num_pages =
        (num_units + limits_.page_length - 1) / limits_.page_length;
    ASSERT_TRUE(static_cast<int>(scheduler_.running().size()) ==
                    limits_.max_running ||
                num_pages > limits_.num_pages - scheduler_.pages_used());
  }

  void CheckPages() {
    std::set<int32_t> distinct;
    int num_pages = 0;
    for (Sequence* sequence : scheduler_.running()) {
      ASSERT_GE(
          static_cast<int>(sequence->pages().size()) * limits_.page_length,
          sequence->units_to_cache());
      num_pages += static_cast<int>(sequence->pages().size());
      distinct.insert(sequence->pages().begin(), sequence->pages().end());
    }
    ASSERT_EQ(static_cast<int>(distinct.size()), num_pages);
    ASSERT_EQ(scheduler_.pages_used(), num_pages);
    for (Sequence* sequence : scheduler_.waiting()) {
      ASSERT_TRUE(sequence->pages().empty());
    }
  }

  void CheckPlan(absl::Span<const PlannedChunk> plan) {
    ASSERT_EQ(plan.size(), scheduler_.running().size());
    int num_units = 0;
    int num_rows = 0;
    bool all_ran_fully = true;
    for (size_t i = 0; i < plan.size(); ++i) {
      const PlannedChunk& chunk = plan[i];
      ASSERT_EQ(chunk.sequence, scheduler_.running()[i]);
      ASSERT_GE(chunk.num_units, 1);
      ASSERT_LE(chunk.num_units, chunk.sequence->units_ready());
      ASSERT_EQ(chunk.num_rows, chunk.sequence->NumRowsAfter(chunk.num_units));
      num_units += chunk.num_units;
      num_rows += chunk.num_rows;
      if (chunk.num_units < chunk.sequence->units_ready()) {
        all_ran_fully = false;
      }
    }
    ASSERT_LE(num_units, limits_.max_units_per_step);
    ASSERT_LE(num_rows, limits_.max_rows_per_step);
    // The budget is used up, unless rows were what ran out.
    if (!all_ran_fully && num_rows < limits_.max_rows_per_step) {
      bool has_scoring = false;
      for (const PlannedChunk& chunk : plan) {
        has_scoring |= chunk.sequence->is_scoring();
      }
      ASSERT_TRUE(has_scoring || num_units == limits_.max_units_per_step);
    }
  }

  void Execute(absl::Span<const PlannedChunk> plan) {
    const std::vector<PlannedChunk> chunks(plan.begin(), plan.end());
    for (const PlannedChunk& chunk : chunks) {
      Sequence& sequence = *chunk.sequence;
      sequence.Advance(chunk.num_units);
      bool is_done = sequence.is_scoring() && sequence.units_ready() == 0;
      if (!sequence.is_scoring() && chunk.num_rows == 1) {
        const SequenceRow row = sequence.RowAfter(sequence.units_cached() - 1);
        const int num_known = static_cast<int>(row.known.size());
        for (int i = num_known; i < row.num_needed; ++i) {
          sequence.AppendToken(3);
        }
        is_done = static_cast<int>(sequence.new_tokens().size()) ==
                      sequence.max_new_tokens() ||
                  Random(0, 20) == 0;  // EOS
      }
      if (!is_done) continue;
      scheduler_.End(sequence);
      Forget(&sequence);
    }
  }

  std::mt19937 random_;
  const SchedulerLimits limits_;
  Scheduler scheduler_;
  UnitLayout layout_;
  int step_ = 0;
  std::vector<std::unique_ptr<Sequence>> sequences_;
  std::vector<Sequence*> arrivals_;  // not ended, in order
  std::vector<EndedSequence> ended_;
};

TEST(SchedulerSimulationTest, InvariantsHoldForManySeeds) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Simulation(seed).Run(/*num_steps=*/60);
    ASSERT_FALSE(HasFailure());
  }
}

}  // namespace
}  // namespace blockserve
