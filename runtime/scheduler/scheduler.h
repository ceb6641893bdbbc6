// Decides who holds the cache and who runs now. Pure: no model, no threads, and
// no clock but the times it is given.
#ifndef BLOCKSERVE_RUNTIME_SCHEDULER_SCHEDULER_H_
#define BLOCKSERVE_RUNTIME_SCHEDULER_SCHEDULER_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "runtime/cache/page_pool.h"
#include "runtime/request/sequence.h"

namespace blockserve {

struct SchedulerLimits {
  int max_running = 0;         // <= the two below: all can run in every step
  int max_units_per_step = 0;  // over all sequences
  int max_rows_per_step = 0;   // over all sequences
  int max_units_per_sequence = 0;
  int page_length = 16;  // units
  int num_pages = 0;
  int max_waiting = 0;  // room to reserve, not a limit
};

// The part of a sequence that runs in a step.
struct PlannedChunk {
  Sequence* sequence = nullptr;
  int num_units = 0;
  int num_rows = 0;  // after its last units
};

enum class EndCause { kCancelled, kQueueDeadline, kRunningDeadline };

// A sequence that was taken out before it was done.
struct EndedSequence {
  Sequence* sequence = nullptr;
  EndCause cause = EndCause::kCancelled;
};

// Two stages. *Capacity*: sequences are admitted in order of arrival as soon as
// a running slot and all pages they can ever need are free, so nothing that
// runs is ever evicted. *Step*: every running sequence runs at least one unit
// in every step; what is left of the budget is shared fairly by those with more
// units ready, so prefill goes on in chunks beside decoding.
//
// Does not own the sequences; each leaves through End or RemoveEnded before it
// is destroyed. Allocates nothing while at most max_waiting wait.
class Scheduler {
 public:
  explicit Scheduler(const SchedulerLimits& limits);

  // Whether a sequence of so many units could run alone.
  bool CanEverFit(int units_to_cache) const;

  // Appends a sequence, which must fit, to the queue.
  void Enqueue(Sequence& sequence);

  // Takes out what was cancelled or is past its deadline, in any state, frees
  // its pages and appends it to `ended`.
  void RemoveEnded(absl::Time now, std::vector<EndedSequence>& ended);

  // The capacity stage.
  void Admit(absl::Time now);

  // The step stage; valid until the next call. The caller runs the chunks and
  // advances the sequences.
  absl::Span<const PlannedChunk> PlanStep();

  // Takes out a sequence in any state and frees its pages.
  void End(Sequence& sequence);

  absl::Span<Sequence* const> waiting() const { return waiting_; }
  absl::Span<Sequence* const> running() const { return running_; }
  int64_t waiting_prompt_tokens() const { return waiting_prompt_tokens_; }
  int pages_used() const { return pages_.num_used(); }
  bool empty() const { return waiting_.empty() && running_.empty(); }
  const SchedulerLimits& limits() const { return limits_; }

 private:
  int NumPages(int units_to_cache) const;
  void Release(Sequence& sequence);
  void RemoveEndedFrom(std::vector<Sequence*>& sequences, EndCause late,
                       absl::Time now, std::vector<EndedSequence>& ended);
  void ShareRows();
  void ShareUnits();

  const SchedulerLimits limits_;
  PagePool pages_;
  std::vector<Sequence*> waiting_;  // in order of arrival
  std::vector<Sequence*> running_;  // in order of admission
  int64_t waiting_prompt_tokens_ = 0;
  std::vector<PlannedChunk> plan_;
  // Beyond the one unit and the one row that each running sequence has.
  std::vector<int> demands_;
  std::vector<int> row_grants_;
  std::vector<int> unit_grants_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_SCHEDULER_SCHEDULER_H_
