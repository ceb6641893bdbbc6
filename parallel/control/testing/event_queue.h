// Virtual time: events in order, one at a time.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_TESTING_EVENT_QUEUE_H_
#define BLOCKSERVE_PARALLEL_CONTROL_TESTING_EVENT_QUEUE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "absl/time/time.h"

namespace blockserve {

// Events of the same time come in the order in which they were added.
class EventQueue {
 public:
  absl::Time now() const { return now_; }

  void At(absl::Time time, std::function<void()> event) {
    events_.emplace(std::make_pair(std::max(time, now_), ++num_added_),
                    std::move(event));
  }
  void After(absl::Duration delay, std::function<void()> event) {
    At(now_ + delay, std::move(event));
  }

  // Runs the next event up to `end`; false, with the time at `end`, if there
  // is none.
  bool RunNext(absl::Time end) {
    if (events_.empty() || events_.begin()->first.first > end) {
      now_ = end;
      return false;
    }
    auto event = events_.extract(events_.begin());
    now_ = event.key().first;
    event.mapped()();
    return true;
  }

 private:
  absl::Time now_ = absl::UnixEpoch();
  uint64_t num_added_ = 0;
  std::map<std::pair<absl::Time, uint64_t>, std::function<void()>> events_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_TESTING_EVENT_QUEUE_H_
