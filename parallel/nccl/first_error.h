// The first error of a communicator, which is the one it keeps.
#ifndef BLOCKSERVE_PARALLEL_NCCL_FIRST_ERROR_H_
#define BLOCKSERVE_PARALLEL_NCCL_FIRST_ERROR_H_

#include <atomic>
#include <mutex>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"

namespace blockserve {

// Any thread.
class FirstError {
 public:
  // True for the one call that brought the first error: its caller sees to what
  // must be done once. `why` must not be OK.
  bool Set(const absl::Status& why) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (is_set()) return false;
    error_ = why;
    is_set_.store(true, std::memory_order_release);
    return true;
  }

  bool is_set() const { return is_set_.load(std::memory_order_acquire); }
  // OK if there was none.
  absl::Status status() const {
    if (!is_set()) return absl::OkStatus();
    const std::lock_guard<std::mutex> lock(mutex_);
    return error_;
  }

 private:
  std::atomic<bool> is_set_ = false;  // error_ is not OK; read without mutex_
  mutable std::mutex mutex_;
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_NCCL_FIRST_ERROR_H_
