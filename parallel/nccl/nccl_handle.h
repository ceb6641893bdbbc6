// One rank's non-blocking NCCL communicator, which may be aborted while it is
// in use.
#ifndef BLOCKSERVE_PARALLEL_NCCL_NCCL_HANDLE_H_
#define BLOCKSERVE_PARALLEL_NCCL_NCCL_HANDLE_H_

#include <nccl.h>

#include <memory>
#include <mutex>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace blockserve {

// Any thread. NCCL itself allows one thread at a time, and none after an abort;
// so each of its calls is made under a lock, held for one call that does not
// wait. What waits, polls, and lets the lock go in between.
class NcclHandle {
 public:
  // Connects with all ranks, on the current device. DEADLINE_EXCEEDED if they
  // have not come within `timeout`.
  static absl::StatusOr<std::unique_ptr<NcclHandle>> Connect(
      int rank, int size, const ncclUniqueId& id, absl::Duration timeout);
  ~NcclHandle();

  NcclHandle(const NcclHandle&) = delete;
  NcclHandle& operator=(const NcclHandle&) = delete;

  // Runs `enqueue`, one NCCL call or one group of them, and waits until NCCL
  // has put it on its stream; only then may more be put there. ABORTED once
  // Abort was called.
  absl::Status Enqueue(absl::FunctionRef<ncclResult_t(ncclComm_t)> enqueue);
  // What has gone wrong since, if anything. Does not wait.
  absl::Status CheckHealth() const;

  // Ends what is on the device. Frees the communicator, once.
  void Abort();
  // Waits until all that was enqueued is done and peers know it, and frees the
  // communicator. Aborts if that fails or takes longer than the timeout.
  absl::Status Close();

 private:
  explicit NcclHandle(absl::Duration timeout) : timeout_(timeout) {}

  // Polls until NCCL is not busy any more with what it was `doing`.
  absl::Status AwaitReady(std::string_view doing);
  absl::StatusOr<ncclResult_t> State(std::string_view doing) const;

  const absl::Duration timeout_;
  mutable std::mutex mutex_;
  ncclComm_t communicator_ ABSL_GUARDED_BY(mutex_) = nullptr;  // null: freed
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_NCCL_NCCL_HANDLE_H_
