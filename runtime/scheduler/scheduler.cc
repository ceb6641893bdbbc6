#include "runtime/scheduler/scheduler.h"

#include <glog/logging.h>

#include <algorithm>

#include "runtime/scheduler/fair_share.h"

namespace blockserve {

Scheduler::Scheduler(const SchedulerLimits& limits)
    : limits_(limits), pages_(limits.num_pages) {
  CHECK_GE(limits.max_running, 1);
  CHECK_LE(limits.max_running, limits.max_units_per_step);
  CHECK_LE(limits.max_running, limits.max_rows_per_step);
  CHECK_GE(limits.page_length, 1);
  waiting_.reserve(limits.max_waiting);
  running_.reserve(limits.max_running);
  plan_.reserve(limits.max_running);
  demands_.reserve(limits.max_running);
  row_grants_.reserve(limits.max_running);
  unit_grants_.reserve(limits.max_running);
}

int Scheduler::NumPages(int units_to_cache) const {
  return (units_to_cache + limits_.page_length - 1) / limits_.page_length;
}

bool Scheduler::CanEverFit(int units_to_cache) const {
  return units_to_cache <= limits_.max_units_per_sequence &&
         NumPages(units_to_cache) <= limits_.num_pages;
}

void Scheduler::Enqueue(Sequence& sequence) {
  CHECK(sequence.state() == Sequence::State::kNew);
  CHECK(CanEverFit(sequence.units_to_cache()));
  sequence.set_state(Sequence::State::kWaiting);
  waiting_.push_back(&sequence);
  waiting_prompt_tokens_ += sequence.num_prompt_tokens();
}

// Gives back what the sequence holds; its place in a list is the caller's.
void Scheduler::Release(Sequence& sequence) {
  if (sequence.state() == Sequence::State::kWaiting) {
    waiting_prompt_tokens_ -= sequence.num_prompt_tokens();
  }
  pages_.Free(sequence.pages());
  sequence.pages().clear();
  sequence.set_state(Sequence::State::kEnded);
}

void Scheduler::End(Sequence& sequence) {
  std::vector<Sequence*>& list =
      sequence.state() == Sequence::State::kWaiting ? waiting_ : running_;
  const auto place = std::find(list.begin(), list.end(), &sequence);
  CHECK(place != list.end());
  list.erase(place);
  Release(sequence);
}

void Scheduler::RemoveEndedFrom(std::vector<Sequence*>& sequences,
                                EndCause late, absl::Time now,
                                std::vector<EndedSequence>& ended) {
  const auto is_ended = [&](Sequence* sequence) {
    if (sequence->cancelled()) {
      ended.push_back({sequence, EndCause::kCancelled});
    } else if (sequence->deadline() <= now) {
      ended.push_back({sequence, late});
    } else {
      return false;
    }
    Release(*sequence);
    return true;
  };
  std::erase_if(sequences, is_ended);
}

void Scheduler::RemoveEnded(absl::Time now, std::vector<EndedSequence>& ended) {
  RemoveEndedFrom(running_, EndCause::kRunningDeadline, now, ended);
  RemoveEndedFrom(waiting_, EndCause::kQueueDeadline, now, ended);
}

// Strictly in order: a large request at the head is not overtaken by small ones
// behind it, which could keep it waiting for ever.
void Scheduler::Admit(absl::Time now) {
  size_t num_admitted = 0;
  for (Sequence* sequence : waiting_) {
    if (static_cast<int>(running_.size()) == limits_.max_running) break;
    const int num_pages = NumPages(sequence->units_to_cache());
    if (num_pages > pages_.num_free()) break;
    sequence->pages().reserve(num_pages);
    CHECK(pages_.Allocate(num_pages, sequence->pages()));
    waiting_prompt_tokens_ -= sequence->num_prompt_tokens();
    sequence->set_state(Sequence::State::kRunning);
    sequence->set_admit_time(now);
    running_.push_back(sequence);
    ++num_admitted;
  }
  waiting_.erase(waiting_.begin(), waiting_.begin() + num_admitted);
}

// Only scoring has more than one row a step to fill.
void Scheduler::ShareRows() {
  demands_.clear();
  for (const Sequence* sequence : running_) {
    demands_.push_back(sequence->NumRowsAfter(sequence->units_ready()) - 1);
  }
  row_grants_.resize(running_.size());
  ShareFairly(demands_,
              limits_.max_rows_per_step - static_cast<int>(running_.size()),
              absl::MakeSpan(row_grants_));
}

void Scheduler::ShareUnits() {
  demands_.clear();
  for (size_t i = 0; i < running_.size(); ++i) {
    const int num_ready = running_[i]->units_ready();
    // Each unit that would need a row too many has to wait.
    const int num_rows = running_[i]->NumRowsAfter(num_ready);
    const int excess_rows = std::max(0, num_rows - (1 + row_grants_[i]));
    demands_.push_back(num_ready - excess_rows - 1);
  }
  unit_grants_.resize(running_.size());
  ShareFairly(demands_,
              limits_.max_units_per_step - static_cast<int>(running_.size()),
              absl::MakeSpan(unit_grants_));
}

absl::Span<const PlannedChunk> Scheduler::PlanStep() {
  ShareRows();
  ShareUnits();
  plan_.clear();
  for (size_t i = 0; i < running_.size(); ++i) {
    DCHECK_GE(running_[i]->units_ready(), 1);
    const int num_units = 1 + unit_grants_[i];
    plan_.push_back(
        {running_[i], num_units, running_[i]->NumRowsAfter(num_units)});
  }
  return plan_;
}

}  // namespace blockserve
