#include "parallel/nccl/call_events.h"

#include "absl/memory/memory.h"
#include "parallel/nccl/nvidia_status.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

absl::StatusOr<bool> IsDone(cudaEvent_t event) {
  const cudaError_t result = cudaEventQuery(event);
  if (result == cudaErrorNotReady) {
    // Else the next launch of somebody else would find it as an error.
    (void)cudaGetLastError();
    return false;
  }
  RETURN_IF_ERROR(ToStatus(result, "asking an event"));
  return true;
}

}  // namespace

absl::StatusOr<std::unique_ptr<CallEvents>> CallEvents::Create(
    int capacity, cudaStream_t stream) {
  auto events = absl::WrapUnique(new CallEvents(stream));
  events->pairs_.resize(static_cast<size_t>(capacity));
  for (Pair& pair : events->pairs_) {
    for (cudaEvent_t* event : {&pair.begin, &pair.end}) {
      RETURN_IF_ERROR(
          ToStatus(cudaEventCreateWithFlags(event, cudaEventDefault),
                   "making an event"));
    }
  }
  return events;
}

CallEvents::~CallEvents() {
  // An event that the device has not come to is freed when it has.
  for (const Pair& pair : pairs_) {
    if (pair.begin != nullptr) (void)cudaEventDestroy(pair.begin);
    if (pair.end != nullptr) (void)cudaEventDestroy(pair.end);
  }
}

absl::Status CallEvents::RecordBegin(int slot) {
  return ToStatus(
      cudaEventRecord(pairs_[static_cast<size_t>(slot)].begin, stream_),
      "recording an event");
}

absl::Status CallEvents::RecordEnd(int slot) {
  return ToStatus(
      cudaEventRecord(pairs_[static_cast<size_t>(slot)].end, stream_),
      "recording an event");
}

absl::StatusOr<bool> CallEvents::HasBegun(int slot) const {
  return IsDone(pairs_[static_cast<size_t>(slot)].begin);
}

absl::StatusOr<std::optional<absl::Duration>> CallEvents::TimeOf(
    int slot) const {
  const Pair& pair = pairs_[static_cast<size_t>(slot)];
  ASSIGN_OR_RETURN(const bool is_done, IsDone(pair.end));
  if (!is_done) return std::nullopt;
  float milliseconds = 0;
  RETURN_IF_ERROR(
      ToStatus(cudaEventElapsedTime(&milliseconds, pair.begin, pair.end),
               "timing a call"));
  return absl::Milliseconds(milliseconds);
}

}  // namespace blockserve
