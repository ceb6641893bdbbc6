#include "parallel/fake/fake_communicator.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

namespace blockserve {

FakeCommunicator::FakeCommunicator(std::unique_ptr<Communicator> inner)
    : inner_(std::move(inner)) {}

void FakeCommunicator::Inject(CollectiveFault fault) {
  const std::lock_guard<std::mutex> lock(mutex_);
  faults_.push_back(std::move(fault));
}

void FakeCommunicator::AwaitStuck() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!is_stuck_) changed_.wait(lock);
}

void FakeCommunicator::AllReduce(const TensorView& data) {
  Call(CollectiveOp::kAllReduce, data.num_bytes(),
       [&] { inner_->AllReduce(data); });
}

void FakeCommunicator::ReduceScatter(const TensorView& data) {
  Call(CollectiveOp::kReduceScatter, data.num_bytes(),
       [&] { inner_->ReduceScatter(data); });
}

void FakeCommunicator::AllGather(absl::Span<const TensorView> arrays) {
  size_t num_bytes = 0;
  for (const TensorView& array : arrays) num_bytes += array.num_bytes();
  Call(CollectiveOp::kAllGather, num_bytes, [&] { inner_->AllGather(arrays); });
}

void FakeCommunicator::Broadcast(const TensorView& data, int root) {
  Call(CollectiveOp::kBroadcast, data.num_bytes(),
       [&] { inner_->Broadcast(data, root); });
}

void FakeCommunicator::Barrier() {
  Call(CollectiveOp::kBarrier, 0, [&] { inner_->Barrier(); });
}

void FakeCommunicator::Abort(const absl::Status& why) {
  // First, so that a call which hangs finds its error when it comes back.
  inner_->Abort(why);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    is_aborted_ = true;
  }
  changed_.notify_all();
}

void FakeCommunicator::Call(CollectiveOp op, size_t num_bytes,
                            absl::FunctionRef<void()> hand_on) {
  if (!inner_->error().ok()) return;
  log_->Add({op, num_bytes});
  if (const std::optional<CollectiveFault> fault = TakeFault(op)) {
    switch (fault->kind) {
      case CollectiveFault::Kind::kFail:
        inner_->Abort(fault->error);
        return;
      case CollectiveFault::Kind::kDelay:
        Stay(fault->delay);
        break;
      case CollectiveFault::Kind::kHang:
        Stay(absl::InfiniteDuration());
        return;
    }
  }
  hand_on();
}

std::optional<CollectiveFault> FakeCommunicator::TakeFault(CollectiveOp op) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const int64_t call =
      std::accumulate(num_calls_.begin(), num_calls_.end(), int64_t{0});
  const int64_t call_of_op = num_calls_[static_cast<int>(op)]++;
  const auto is_due = [&](const CollectiveFault& fault) {
    return fault.op.has_value() ? *fault.op == op && fault.call == call_of_op
                                : fault.call == call;
  };
  const auto due = std::find_if(faults_.begin(), faults_.end(), is_due);
  if (due == faults_.end()) return std::nullopt;
  CollectiveFault fault = *std::move(due);
  faults_.erase(due);
  return fault;
}

void FakeCommunicator::Stay(absl::Duration delay) {
  std::unique_lock<std::mutex> lock(mutex_);
  is_stuck_ = true;
  changed_.notify_all();
  const auto is_aborted = [this] { return is_aborted_; };
  if (delay == absl::InfiniteDuration()) {
    changed_.wait(lock, is_aborted);
  } else {
    changed_.wait_for(lock, absl::ToChronoNanoseconds(delay), is_aborted);
  }
  is_stuck_ = false;
}

}  // namespace blockserve
