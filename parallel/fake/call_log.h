// What a fake communicator has been asked for, for a test to look at.
#ifndef BLOCKSERVE_PARALLEL_FAKE_CALL_LOG_H_
#define BLOCKSERVE_PARALLEL_FAKE_CALL_LOG_H_

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "parallel/api/communicator.h"

namespace blockserve {

struct CollectiveCall {
  CollectiveOp op = CollectiveOp::kBarrier;
  size_t num_bytes = 0;  // of the tensors named

  friend bool operator==(const CollectiveCall& a, const CollectiveCall& b) {
    return a.op == b.op && a.num_bytes == b.num_bytes;
  }
};

// Thread-safe.
class CallLog {
 public:
  // In the order of the calls.
  std::vector<CollectiveCall> calls() const;
  int64_t CountOf(CollectiveOp op) const;
  int64_t size() const;
  void Clear();

  void Add(const CollectiveCall& call);

 private:
  mutable std::mutex mutex_;
  std::vector<CollectiveCall> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_FAKE_CALL_LOG_H_
