#include "parallel/nccl/nccl_handle.h"

#include <chrono>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "parallel/nccl/nvidia_status.h"
#include "runtime/base/monotonic_clock.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

// NCCL's own thread puts a group on the stream within some microseconds; only
// connecting takes longer.
constexpr absl::Duration kSpin = absl::Microseconds(200);
constexpr std::chrono::microseconds kPoll(100);

}  // namespace

absl::StatusOr<std::unique_ptr<NcclHandle>> NcclHandle::Connect(
    int rank, int size, const ncclUniqueId& id, absl::Duration timeout) {
  auto handle = absl::WrapUnique(new NcclHandle(timeout));
  {
    const std::lock_guard<std::mutex> lock(handle->mutex_);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    RETURN_IF_ERROR(ToStatus(
        ncclCommInitRankConfig(&handle->communicator_, size, id, rank, &config),
        "connecting", handle->communicator_));
  }
  RETURN_IF_ERROR(handle->AwaitReady("connecting"));
  return handle;
}

NcclHandle::~NcclHandle() { Abort(); }

absl::Status NcclHandle::Enqueue(
    absl::FunctionRef<ncclResult_t(ncclComm_t)> enqueue) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (communicator_ == nullptr) return absl::AbortedError("aborted");
    const ncclResult_t result = enqueue(communicator_);
    if (result == ncclSuccess) return absl::OkStatus();
    RETURN_IF_ERROR(ToStatus(result, "enqueueing", communicator_));
  }
  return AwaitReady("enqueueing");
}

absl::Status NcclHandle::CheckHealth() const {
  return State("running").status();
}

absl::StatusOr<ncclResult_t> NcclHandle::State(std::string_view doing) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (communicator_ == nullptr) return absl::AbortedError("aborted");
  ncclResult_t state = ncclSuccess;
  RETURN_IF_ERROR(
      ToStatus(ncclCommGetAsyncError(communicator_, &state), doing));
  RETURN_IF_ERROR(ToStatus(state, doing, communicator_));
  return state;
}

absl::Status NcclHandle::AwaitReady(std::string_view doing) {
  const absl::Time begin = MonotonicNow();
  while (true) {
    ASSIGN_OR_RETURN(const ncclResult_t state, State(doing));
    if (state == ncclSuccess) return absl::OkStatus();
    const absl::Duration waited = MonotonicNow() - begin;
    if (waited > timeout_) {
      return absl::DeadlineExceededError(
          absl::StrCat(std::string(doing), ": not all peers came within ",
                       absl::FormatDuration(timeout_)));
    }
    if (waited < kSpin) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(kPoll);
    }
  }
}

void NcclHandle::Abort() {
  const std::lock_guard<std::mutex> lock(mutex_);
  const ncclComm_t communicator = std::exchange(communicator_, nullptr);
  // Whatever it returns, there is nothing left to be done with it.
  if (communicator != nullptr) (void)ncclCommAbort(communicator);
}

absl::Status NcclHandle::Close() {
  absl::Status status = Enqueue(ncclCommFinalize);
  if (!status.ok()) {
    Abort();
    return status;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  const ncclComm_t communicator = std::exchange(communicator_, nullptr);
  if (communicator == nullptr) return absl::AbortedError("aborted");
  return ToStatus(ncclCommDestroy(communicator), "closing");
}

}  // namespace blockserve
