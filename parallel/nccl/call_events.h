// When a device comes to a call and when it is done with it.
#ifndef BLOCKSERVE_PARALLEL_NCCL_CALL_EVENTS_H_
#define BLOCKSERVE_PARALLEL_NCCL_CALL_EVENTS_H_

#include <cuda_runtime_api.h>

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace blockserve {

// Two CUDA events for each slot of a ring of calls, made at creation. Nothing
// here waits. Any thread, but one at a time for a slot.
class CallEvents {
 public:
  // On the current device, which must be the stream's.
  static absl::StatusOr<std::unique_ptr<CallEvents>> Create(
      int capacity, cudaStream_t stream);
  ~CallEvents();

  CallEvents(const CallEvents&) = delete;
  CallEvents& operator=(const CallEvents&) = delete;

  absl::Status RecordBegin(int slot);
  absl::Status RecordEnd(int slot);

  absl::StatusOr<bool> HasBegun(int slot) const;
  // From begin to end; nullopt if the device has not come to the end.
  absl::StatusOr<std::optional<absl::Duration>> TimeOf(int slot) const;

 private:
  struct Pair {
    cudaEvent_t begin = nullptr;
    cudaEvent_t end = nullptr;
  };

  explicit CallEvents(cudaStream_t stream) : stream_(stream) {}

  const cudaStream_t stream_;
  std::vector<Pair> pairs_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_NCCL_CALL_EVENTS_H_
