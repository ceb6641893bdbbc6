// Lets threads that have come free take a share of another one's loop.
#ifndef BLOCKSERVE_ROUTER_SHARED_WORK_H_
#define BLOCKSERVE_ROUTER_SHARED_WORK_H_

#include <atomic>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"

namespace blockserve {

// A frame holds a block for each of hundreds of streams; every write to one
// wakes a second gRPC thread to hear that it is done. That thread then helps
// with the rest of the frame, instead of sleeping until the next write: half
// the time to the last stream, and a fraction of the system calls. Thread-safe.
class SharedWork {
 public:
  // Calls `work` once for each of [0, count), in any order, on this thread and
  // on those that call Help meanwhile; returns when all calls have. `work` may
  // hold no lock that a caller of Help has.
  void Run(int count, absl::FunctionRef<void(int)> work);
  // Helps a Run under way, if there is one, until it has nothing left to begin.
  void Help();

 private:
  struct Loop {
    int count = 0;
    absl::FunctionRef<void(int)> work;
    std::atomic<int> next = 0;
    int num_helpers = 0;  // guarded by mutex_
  };

  static void WorkOff(Loop& loop);

  // Loops that may need help; a hint, so that Help costs nothing without.
  std::atomic<int> num_loops_ = 0;
  absl::Mutex mutex_;
  absl::CondVar helpers_left_;
  std::vector<Loop*> loops_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_SHARED_WORK_H_
