#include "parallel/nccl/nccl_communicator.h"

#include <glog/logging.h>
#include <nccl.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "parallel/nccl/call_events.h"
#include "parallel/nccl/call_ring.h"
#include "parallel/nccl/device_float.h"
#include "parallel/nccl/first_error.h"
#include "parallel/nccl/nccl_handle.h"
#include "parallel/nccl/nvidia_status.h"
#include "parallel/nccl/row_moves.h"
#include "parallel/nccl/unique_id.h"
#include "runtime/base/monotonic_clock.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

// More than a step makes; a caller that runs further ahead of the device waits.
constexpr int kMaxUnfinishedCalls = 256;
// How often the watchdog looks; errors are found this late.
constexpr std::chrono::milliseconds kWatch(5);
// How often a thread that waits for the device looks.
constexpr std::chrono::microseconds kPoll(20);

// NCCL draws ids at random.
uint64_t HashOf(const ncclUniqueId& id) {
  return absl::HashOf(absl::string_view(id.internal, sizeof(id.internal)));
}

// What a communicator works with on this rank's device.
struct DeviceParts {
  int device = 0;
  std::unique_ptr<CallEvents> events;
  std::unique_ptr<DeviceFloat> barrier;  // what a Barrier sums
};

absl::StatusOr<DeviceParts> MakeDeviceParts(cudaStream_t stream) {
  DeviceParts parts;
  RETURN_IF_ERROR(ToStatus(cudaGetDevice(&parts.device), "finding a device"));
  ASSIGN_OR_RETURN(parts.events,
                   CallEvents::Create(kMaxUnfinishedCalls, stream));
  ASSIGN_OR_RETURN(parts.barrier, DeviceFloat::Create(stream));
  return parts;
}

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(int rank, int size, uint64_t id,
                   const CommunicatorLimits& limits, cudaStream_t stream,
                   DeviceParts parts, std::unique_ptr<NcclHandle> handle)
      : rank_(rank),
        size_(size),
        id_(id),
        limits_(limits),
        stream_(stream),
        parts_(std::move(parts)),
        handle_(std::move(handle)),
        ring_(kMaxUnfinishedCalls, limits.timeout),
        watchdog_([this] { Watch(); }) {}

  ~NcclCommunicator() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      is_stopping_ = true;
    }
    changed_.notify_all();
    watchdog_.join();
    if (error_.is_set()) {
      handle_->Abort();  // where the watchdog had stopped before the error
    } else {
      if (const absl::Status closed = handle_->Close(); !closed.ok()) {
        LOG(WARNING) << "nccl: rank " << rank_ << " of " << size_
                     << " aborted instead of closing: " << closed;
      }
    }
    // Freeing memory waits for the device, which must not be waited for if it
    // hangs in spite of the abort.
    if (!AwaitDevice()) parts_.barrier->Leak();
  }

  std::string_view name() const override { return "nccl"; }
  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void AllReduce(const TensorView& data) override {
    CHECK(data.dtype() == DType::kFloat32);
    Run(CollectiveOp::kAllReduce, data.num_bytes(), [&](ncclComm_t comm) {
      return ncclAllReduce(data.data(), data.data(),
                           static_cast<size_t>(data.num_elements()),
                           ncclFloat32, ncclSum, comm, stream_);
    });
  }

  void ReduceScatter(const TensorView& data) override {
    CHECK(data.dtype() == DType::kFloat32);
    CHECK_EQ(data.rank(), 2);
    Run(CollectiveOp::kReduceScatter, data.num_bytes(), [&](ncclComm_t comm) {
      return EnqueueReduceScatter(data.as<float>(), data.dim(0),
                                  static_cast<size_t>(data.dim(1)), comm);
    });
  }

  void AllGather(absl::Span<const TensorView> arrays) override {
    CHECK_LE(arrays.size(), static_cast<size_t>(kMaxGatheredArrays));
    if (arrays.empty()) return;
    size_t num_bytes = 0;
    for (const TensorView& array : arrays) {
      CHECK_EQ(array.dim(0), arrays[0].dim(0));
      num_bytes += array.num_bytes();
    }
    Run(CollectiveOp::kAllGather, num_bytes, [&](ncclComm_t comm) {
      return InGroup([&] {
        for (const TensorView& array : arrays) {
          const ncclResult_t result = EnqueueAllGather(array, comm);
          if (!IsAccepted(result)) return result;
        }
        return ncclSuccess;
      });
    });
  }

  void Broadcast(const TensorView& data, int root) override {
    CHECK(0 <= root && root < size_) << "root " << root << " of " << size_;
    Run(CollectiveOp::kBroadcast, data.num_bytes(), [&](ncclComm_t comm) {
      return ncclBroadcast(data.data(), data.data(), data.num_bytes(),
                           ncclUint8, root, comm, stream_);
    });
  }

  void Barrier() override {
    float* const one = parts_.barrier->data();
    Run(CollectiveOp::kBarrier, 0, [&](ncclComm_t comm) {
      return ncclAllReduce(one, one, 1, ncclFloat32, ncclSum, comm, stream_);
    });
  }

  void RunReplay(uint64_t key, absl::FunctionRef<void()> launch) override {
    CHECK(replay_ == nullptr) << "a replay within another";
    if (error_.is_set()) return;
    const std::optional<int> slot = AwaitFreeSlot();
    if (!slot.has_value()) return;
    absl::Status status = parts_.events->RecordBegin(*slot);
    if (status.ok()) {
      CommunicatorStats calls;
      replay_ = &calls;
      launch();
      replay_ = nullptr;
      // Without calls it was a replay of those that came first.
      const auto known = replayed_.emplace(key, calls).first;
      status = parts_.events->RecordEnd(*slot);
      if (status.ok()) {
        const std::lock_guard<std::mutex> lock(mutex_);
        ring_.AddReplay(known->second);
        return;
      }
    }
    Poison(status);
  }
  uint64_t id() const override { return id_; }

  // Polls events: waiting for a stream in CUDA would not come back from one
  // that waits for a peer.
  absl::Status Synchronize() override {
    while (!error_.is_set() && !TakeFinished()) {
      std::this_thread::sleep_for(kPoll);
    }
    if (error_.is_set()) {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait_for(lock, absl::ToChronoNanoseconds(limits_.timeout),
                        [&] { return is_aborted_; });
      lock.unlock();
      (void)AwaitDevice();
    }
    return error();
  }

  absl::Status error() const override { return error_.status(); }

  void Abort(const absl::Status& why) override {
    Poison(why.ok() ? absl::AbortedError("the communicator was aborted") : why);
  }

  CommunicatorStats stats() const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return ring_.stats();
  }

 private:
  // Within a group, and on a communicator that does not block, "in progress"
  // is as good as "success".
  static bool IsAccepted(ncclResult_t result) {
    return result == ncclSuccess || result == ncclInProgress;
  }

  // The calls of `enqueue` as one. A group that was begun is ended whatever
  // happens in it: it belongs to the thread.
  static ncclResult_t InGroup(absl::FunctionRef<ncclResult_t()> enqueue) {
    const ncclResult_t begun = ncclGroupStart();
    if (!IsAccepted(begun)) return begun;
    const ncclResult_t result = enqueue();
    const ncclResult_t ended = ncclGroupEnd();
    return IsAccepted(result) ? ended : result;
  }

  ncclResult_t EnqueueReduceScatter(float* data, int64_t num_rows,
                                    size_t row_length, ncclComm_t comm) {
    if (RowsDivide(num_rows, size_)) {
      const RowMove own = MoveOf(num_rows, row_length, rank_, size_);
      return ncclReduceScatter(data, data + own.offset, own.count, ncclFloat32,
                               ncclSum, comm, stream_);
    }
    return InGroup([&] {
      ncclResult_t result = ncclSuccess;
      ForEachOwner(num_rows, row_length, size_, [&](const RowMove& move) {
        if (!IsAccepted(result)) return;
        float* const rows = data + move.offset;
        result = ncclReduce(rows, rows, move.count, ncclFloat32, ncclSum,
                            move.owner, comm, stream_);
      });
      return result;
    });
  }

  ncclResult_t EnqueueAllGather(const TensorView& array, ncclComm_t comm) {
    const int64_t num_rows = array.dim(0);
    if (num_rows == 0 || array.num_bytes() == 0) return ncclSuccess;
    const size_t row_bytes = array.num_bytes() / static_cast<size_t>(num_rows);
    auto* const data = static_cast<std::byte*>(array.data());
    if (RowsDivide(num_rows, size_)) {
      const RowMove own = MoveOf(num_rows, row_bytes, rank_, size_);
      return ncclAllGather(data + own.offset, data, own.count, ncclUint8, comm,
                           stream_);
    }
    ncclResult_t result = ncclSuccess;
    ForEachOwner(num_rows, row_bytes, size_, [&](const RowMove& move) {
      if (!IsAccepted(result)) return;
      std::byte* const rows = data + move.offset;
      result = ncclBroadcast(rows, rows, move.count, ncclUint8, move.owner,
                             comm, stream_);
    });
    return result;
  }

  void Run(CollectiveOp op, size_t num_bytes,
           absl::FunctionRef<ncclResult_t(ncclComm_t)> enqueue) {
    CHECK_LE(num_bytes, limits_.max_bytes) << NameOf(op);
    if (error_.is_set()) return;
    // All ranks see the same shapes, so none waits for one that has no part.
    const bool is_empty = num_bytes == 0 && op != CollectiveOp::kBarrier;
    if (replay_ != nullptr) {
      // The events are around all of them.
      replay_->of(op).num_calls += 1;
      replay_->of(op).num_bytes += static_cast<int64_t>(num_bytes);
      if (!is_empty) (void)PoisonIfFailed(op, handle_->Enqueue(enqueue));
      return;
    }
    if (is_empty) {
      const std::lock_guard<std::mutex> lock(mutex_);
      ring_.AddFinished(op, 0);
      return;
    }
    const std::optional<int> slot = AwaitFreeSlot();
    if (!slot.has_value()) return;  // poisoned meanwhile
    if (PoisonIfFailed(op, RunInSlot(*slot, enqueue))) return;
    // Only now: an event that was not recorded yet looks like one that is done.
    const std::lock_guard<std::mutex> lock(mutex_);
    ring_.Add(op, num_bytes);
  }

  // After an abort this is not the first error, and changes nothing.
  bool PoisonIfFailed(CollectiveOp op, const absl::Status& status) {
    if (status.ok()) return false;
    Poison(absl::Status(status.code(), absl::StrCat(std::string(NameOf(op)),
                                                    ": ", status.message())));
    return true;
  }

  absl::Status RunInSlot(int slot,
                         absl::FunctionRef<ncclResult_t(ncclComm_t)> enqueue) {
    RETURN_IF_ERROR(parts_.events->RecordBegin(slot));
    RETURN_IF_ERROR(handle_->Enqueue(enqueue));
    return parts_.events->RecordEnd(slot);
  }

  std::optional<int> AwaitFreeSlot() {
    while (true) {
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!ring_.full()) return ring_.next();
      }
      (void)TakeFinished();
      if (error_.is_set()) return std::nullopt;
      std::this_thread::sleep_for(kPoll);
    }
  }

  // Takes the calls that the device has done out of the ring. True if that
  // leaves none.
  bool TakeFinished() {
    absl::Status status;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      status = TakeFinishedLocked();
      if (status.ok()) return ring_.empty();
    }
    Poison(status);
    return false;
  }

  absl::Status TakeFinishedLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    while (!ring_.empty()) {
      ASSIGN_OR_RETURN(const std::optional<absl::Duration> time,
                       parts_.events->TimeOf(ring_.oldest()));
      if (!time.has_value()) {
        ASSIGN_OR_RETURN(const bool has_begun,
                         parts_.events->HasBegun(ring_.oldest()));
        if (has_begun) ring_.MarkReached(MonotonicNow());
        return absl::OkStatus();
      }
      ring_.Finish(*time);
    }
    return absl::OkStatus();
  }

  // False if the device is not done with the calls after another timeout, or
  // will never be.
  bool AwaitDevice() {
    const absl::Time begin = MonotonicNow();
    while (MonotonicNow() - begin <= limits_.timeout) {
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!TakeFinishedLocked().ok()) return false;
        if (ring_.empty()) return true;
      }
      std::this_thread::sleep_for(kPoll);
    }
    return false;
  }

  void Poison(const absl::Status& why) {
    const absl::Status named(
        why.code(), absl::StrCat(why.message(), " (nccl, rank ", rank_, " of ",
                                 size_, ")"));
    if (!error_.Set(named)) return;
    // The lock, so that the watchdog is not just about to wait.
    { const std::lock_guard<std::mutex> lock(mutex_); }
    changed_.notify_all();
  }

  // The watchdog's thread. It alone aborts while the communicator is in use.
  void Watch() {
    // Not the device that CUDA would take, so that no context is made there.
    (void)cudaSetDevice(parts_.device);
    std::unique_lock<std::mutex> lock(mutex_);
    while (!error_.is_set() && !is_stopping_) {
      lock.unlock();
      if (const absl::Status status = LookForTrouble(); !status.ok()) {
        Poison(status);
      }
      lock.lock();
      changed_.wait_for(lock, kWatch,
                        [&] { return error_.is_set() || is_stopping_; });
    }
    lock.unlock();
    if (!error_.is_set()) return;
    LOG(WARNING) << "nccl: aborting: " << error_.status();
    handle_->Abort();
    lock.lock();
    is_aborted_ = true;
    lock.unlock();
    changed_.notify_all();
  }

  absl::Status LookForTrouble() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      RETURN_IF_ERROR(TakeFinishedLocked());
    }
    RETURN_IF_ERROR(handle_->CheckHealth());
    const std::lock_guard<std::mutex> lock(mutex_);
    return ring_.CheckDeadline(MonotonicNow());
  }

  const int rank_;
  const int size_;
  const uint64_t id_;
  const CommunicatorLimits limits_;
  const cudaStream_t stream_;
  const DeviceParts parts_;
  const std::unique_ptr<NcclHandle> handle_;
  FirstError error_;
  // Of the caller's thread.
  CommunicatorStats* replay_ = nullptr;  // what a RunReplay has called so far
  std::map<uint64_t, CommunicatorStats> replayed_;  // by key

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  CallRing ring_ ABSL_GUARDED_BY(mutex_);
  bool is_stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_aborted_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread watchdog_;  // last: it uses all of the above
};

}  // namespace

absl::StatusOr<std::unique_ptr<Communicator>> CreateNcclCommunicator(
    int rank, int size, const CommunicatorLimits& limits, cudaStream_t stream,
    const BlobExchange& exchange) {
  CHECK(0 <= rank && rank < size) << "rank " << rank << " of " << size;
  auto parts = MakeDeviceParts(stream);
  ASSIGN_OR_RETURN(const ncclUniqueId id,
                   ExchangeUniqueId(rank, parts.status(), exchange));
  ASSIGN_OR_RETURN(std::unique_ptr<NcclHandle> handle,
                   NcclHandle::Connect(rank, size, id, limits.timeout));
  return std::make_unique<NcclCommunicator>(rank, size, HashOf(id), limits,
                                            stream, *std::move(parts),
                                            std::move(handle));
}

}  // namespace blockserve
