#include "router/shared_work.h"

#include <algorithm>

namespace blockserve {
namespace {

// Fewer are done before a helper has come.
constexpr int kMinShared = 4;

}  // namespace

void SharedWork::Run(int count, absl::FunctionRef<void(int)> work) {
  Loop loop{.count = count, .work = work};
  if (count < kMinShared) {
    WorkOff(loop);
    return;
  }
  {
    absl::MutexLock lock(&mutex_);
    loops_.push_back(&loop);
    ++num_loops_;
  }
  WorkOff(loop);
  absl::MutexLock lock(&mutex_);
  loops_.erase(std::find(loops_.begin(), loops_.end(), &loop));
  --num_loops_;
  while (loop.num_helpers > 0) helpers_left_.Wait(&mutex_);
}

void SharedWork::Help() {
  if (num_loops_ == 0) return;
  Loop* loop = nullptr;
  {
    absl::MutexLock lock(&mutex_);
    const auto it =
        std::find_if(loops_.begin(), loops_.end(), [](const Loop* candidate) {
          return candidate->next < candidate->count;
        });
    if (it == loops_.end()) return;
    loop = *it;
    ++loop->num_helpers;
  }
  WorkOff(*loop);
  absl::MutexLock lock(&mutex_);
  if (--loop->num_helpers == 0) helpers_left_.SignalAll();
}

void SharedWork::WorkOff(Loop& loop) {
  while (true) {
    const int index = loop.next++;
    if (index >= loop.count) return;
    loop.work(index);
  }
}

}  // namespace blockserve
