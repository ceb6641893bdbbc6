// How long ranks take for their steps, and which of them is slow.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_STEP_TIMES_H_
#define BLOCKSERVE_PARALLEL_CONTROL_STEP_TIMES_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "parallel/control/group_types.h"

namespace blockserve {

// Work time is step time without collectives: ranks that wait for a slow one
// show that as collective time, so only the slow one's work time is long.
// Pure; not thread-safe.
class StepTimes {
 public:
  static constexpr int kWindow = 32;     // steps that are looked at
  static constexpr int kMinSamples = 8;  // fewer say nothing

  explicit StepTimes(int world_size)
      : ranks_(static_cast<size_t>(world_size)) {}

  void Add(int rank, const StepReport& report);
  // Forgets what `rank` has done: it has started anew.
  void Reset(int rank) { ranks_[static_cast<size_t>(rank)] = Rank(); }

  absl::Duration step_time(int rank) const;        // moving average
  absl::Duration collective_time(int rank) const;  // moving average

  // The rank whose mean work time over the window is longest, if it is more
  // than 1.5 times the median of the others' and more than 1 ms; else -1.
  int Straggler() const;

 private:
  struct Rank {
    std::vector<absl::Duration> work;  // a ring once it is full
    size_t next = 0;
    absl::Duration total_work;  // of `work`
    absl::Duration step_time;
    absl::Duration collective_time;

    absl::Duration mean_work() const {
      return total_work / static_cast<int64_t>(work.size());
    }
  };

  std::vector<Rank> ranks_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_STEP_TIMES_H_
