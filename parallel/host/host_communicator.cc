#include "parallel/host/host_communicator.h"

#include <glog/logging.h>

#include <array>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "kernels/api/dtype.h"

namespace blockserve {

HostCommunicator::HostCommunicator(std::string_view name, int rank, int size,
                                   const CommunicatorLimits& limits)
    : name_(name), rank_(rank), size_(size), limits_(limits) {
  CHECK(0 <= rank && rank < size) << "rank " << rank << " of " << size;
}

void HostCommunicator::AllReduce(const TensorView& data) {
  CHECK(data.dtype() == DType::kFloat32);
  const auto count = static_cast<size_t>(data.num_elements());
  Run(CollectiveOp::kAllReduce, data.num_bytes(),
      [&] { return RunAllReduce(absl::MakeSpan(data.as<float>(), count)); });
}

void HostCommunicator::ReduceScatter(const TensorView& data) {
  CHECK(data.dtype() == DType::kFloat32);
  CHECK_EQ(data.rank(), 2);
  Run(CollectiveOp::kReduceScatter, data.num_bytes(), [&] {
    return RunReduceScatter(data.as<float>(), data.dim(0), data.dim(1));
  });
}

void HostCommunicator::AllGather(absl::Span<const TensorView> arrays) {
  CHECK_LE(arrays.size(), static_cast<size_t>(kMaxGatheredArrays));
  if (arrays.empty()) return;
  const int64_t num_rows = arrays[0].dim(0);
  std::array<GatheredArray, kMaxGatheredArrays> gathered;
  size_t num_bytes = 0;
  for (size_t i = 0; i < arrays.size(); ++i) {
    CHECK_EQ(arrays[i].dim(0), num_rows);
    num_bytes += arrays[i].num_bytes();
    if (num_rows == 0) continue;
    gathered[i] = {static_cast<std::byte*>(arrays[i].data()),
                   arrays[i].num_bytes() / static_cast<size_t>(num_rows)};
  }
  Run(CollectiveOp::kAllGather, num_bytes, [&] {
    return RunAllGather(absl::MakeSpan(gathered.data(), arrays.size()),
                        num_rows);
  });
}

void HostCommunicator::Broadcast(const TensorView& data, int root) {
  CHECK(0 <= root && root < size_) << "root " << root << " of " << size_;
  Run(CollectiveOp::kBroadcast, data.num_bytes(), [&] {
    return RunBroadcast(
        absl::MakeSpan(static_cast<std::byte*>(data.data()), data.num_bytes()),
        root);
  });
}

void HostCommunicator::Barrier() {
  Run(CollectiveOp::kBarrier, 0, [&] { return RunBarrier(); });
}

void HostCommunicator::Run(CollectiveOp op, size_t num_bytes,
                           absl::FunctionRef<absl::Status()> run) {
  if (poisoned_.load(std::memory_order_acquire)) return;
  CHECK_LE(num_bytes, limits_.max_bytes) << NameOf(op);
  CollectiveCount& count = stats_.of(op);
  ++count.num_calls;
  count.num_bytes += static_cast<int64_t>(num_bytes);
  if (size_ == 1) return;
  // All ranks see the same shapes, so none waits for one that returns here.
  if (num_bytes == 0 && op != CollectiveOp::kBarrier) return;

  const auto begin = std::chrono::steady_clock::now();
  const absl::Status status = run();
  count.time += absl::FromChrono(std::chrono::steady_clock::now() - begin);
  if (!status.ok()) {
    Poison(absl::Status(
        status.code(), absl::StrCat(std::string(NameOf(op)), " on rank ", rank_,
                                    " of ", size_, ": ", status.message())));
  }
}

absl::Status HostCommunicator::error() const {
  if (!poisoned_.load(std::memory_order_acquire)) return absl::OkStatus();
  const std::lock_guard<std::mutex> lock(mutex_);
  return error_;
}

void HostCommunicator::Abort(const absl::Status& why) {
  Poison(why.ok() ? absl::AbortedError("the communicator was aborted") : why);
}

void HostCommunicator::Poison(const absl::Status& why) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!error_.ok()) return;
    error_ = why;
    poisoned_.store(true, std::memory_order_release);
  }
  Interrupt();
}

}  // namespace blockserve
