#include "kernels/cuda_host/cta.h"

#include <array>
#include <utility>

#include "kernels/cuda_host/failure.h"
#include "kernels/cuda_host/sanitizers.h"

namespace blockserve::cuda_host {

__thread DeviceThread* current_thread = nullptr;

void Cta::Start(GridContext& grid, uint3 index,
                std::vector<DeviceThread*> threads) {
  grid_ = &grid;
  index_ = index;
  threads_ = std::move(threads);
  const dim3& extents = grid.cta_extents;
  num_threads_ = static_cast<int>(extents.x * extents.y * extents.z);
  num_live_ = num_threads_;
  num_at_barrier_ = 0;
  picker_.Reset(num_threads_, grid.policy, &grid.random);
  shared_memory_.Reset(grid.dynamic_shared_bytes);
  warp_tokens_.assign(num_threads_ / kLanes + 1, 0);
  for (int i = 0; i < num_threads_; ++i) {
    DeviceThread& thread = *threads_[i];
    const auto linear = static_cast<unsigned>(i);
    thread.cta = this;
    thread.linear_index = i;
    thread.index = {linear % extents.x, linear / extents.x % extents.y,
                    linear / (extents.x * extents.y)};
    thread.state = DeviceThread::State::kReady;
    thread.copies.Reset();
    thread.fiber.Start(&Cta::RunThread, &thread);
  }
}

void Cta::RunThread(void* argument) {
  DeviceThread& thread = *static_cast<DeviceThread*>(argument);
  GridContext& grid = *thread.cta->grid_;
  OrderAfter(&grid.launched);
  (*grid.body)();
  OrderBefore(&grid.ended);
  if (!thread.copies.empty()) {
    thread.cta->FailIn(thread, "ends with cp.async in flight");
  }
}

void Cta::RunOne() {
  DeviceThread& thread = *threads_[picker_.Pick()];
  current_thread = &thread;
  thread.fiber.Resume();
  current_thread = nullptr;
  if (thread.fiber.is_done()) {
    thread.state = DeviceThread::State::kDone;
    --num_live_;
    if (num_at_barrier_ > 0) {
      FailIn(thread, "ends while others wait at a barrier for it");
    }
  } else if (thread.state == DeviceThread::State::kAtBarrier) {
    TryBarrier();
  } else if (thread.state == DeviceThread::State::kAtWarpOp) {
    TryWarpOp(thread);
  }
}

void Cta::MakeReady(DeviceThread& thread) {
  thread.state = DeviceThread::State::kReady;
  picker_.MakeReady(thread.linear_index);
}

void Cta::TryBarrier() {
  if (num_live_ < num_threads_) {
    FailIn(*threads_[0], "waits at a barrier that a thread has ended before");
  }
  if (num_at_barrier_ < num_threads_) return;
  num_at_barrier_ = 0;
  uint64_t count = 0;
  for (int i = 0; i < num_threads_; ++i) {
    if (threads_[i]->barrier != threads_[0]->barrier) {
      FailIn(*threads_[i], "meets others at another kind of __syncthreads");
    }
    count += threads_[i]->barrier_value != 0 ? 1 : 0;
  }
  uint64_t result = count;
  if (threads_[0]->barrier == BarrierKind::kOr) result = count > 0 ? 1 : 0;
  if (threads_[0]->barrier == BarrierKind::kAnd) {
    result = count == static_cast<uint64_t>(num_threads_) ? 1 : 0;
  }
  for (int i = 0; i < num_threads_; ++i) {
    threads_[i]->barrier_result = result;
    MakeReady(*threads_[i]);
  }
}

// Lanes of one mask must come to the same operation; which other lanes exist
// does not matter.
void Cta::CheckLane(const DeviceThread& lane, const DeviceThread& newest) {
  const LaneRequest& request = newest.warp_request;
  if (lane.state == DeviceThread::State::kDone) {
    FailIn(newest, "names a lane in its warp mask that has ended");
  }
  if (lane.state != DeviceThread::State::kAtWarpOp) return;
  if (lane.warp_request.op != request.op ||
      lane.warp_request.mask != request.mask) {
    FailIn(lane,
           "is at another warp operation or mask than a lane of its mask: "
           "divergent warp operation");
  }
}

void Cta::TryWarpOp(DeviceThread& newest) {
  const int first = newest.linear_index / kLanes * kLanes;
  std::array<LaneRequest*, kLanes> lanes = {};
  bool all_came = true;
  for (int lane = 0; lane < kLanes; ++lane) {
    if ((newest.warp_request.mask >> lane & 1) == 0) continue;
    if (first + lane >= num_threads_) {
      FailIn(newest, "names a lane in its warp mask that does not exist");
    }
    DeviceThread& thread = *threads_[first + lane];
    CheckLane(thread, newest);
    all_came &= thread.state == DeviceThread::State::kAtWarpOp;
    lanes[lane] = &thread.warp_request;
  }
  if (!all_came) return;
  PerformWarpOp(lanes);
  for (int lane = 0; lane < kLanes; ++lane) {
    if (lanes[lane] != nullptr) MakeReady(*threads_[first + lane]);
  }
}

uint64_t Cta::AwaitBarrier(BarrierKind kind, uint64_t value) {
  DeviceThread& thread = *current_thread;
  thread.barrier = kind;
  thread.barrier_value = value;
  thread.state = DeviceThread::State::kAtBarrier;
  ++num_at_barrier_;
  OrderBefore(&barrier_token_);
  thread.fiber.Yield();
  OrderAfter(&barrier_token_);
  return thread.barrier_result;
}

uint64_t Cta::AwaitWarp(WarpOp op, uint32_t mask, uint64_t value, int argument,
                        int width) {
  DeviceThread& thread = *current_thread;
  if ((mask >> (thread.linear_index % kLanes) & 1) == 0) {
    FailIn(thread, "is not in its own warp mask");
  }
  thread.warp_request = {op, mask, value, argument, width, 0};
  thread.state = DeviceThread::State::kAtWarpOp;
  // __syncwarp orders memory; shuffles do not.
  char* const token = &warp_tokens_[thread.linear_index / kLanes];
  if (op == WarpOp::kSync) OrderBefore(token);
  thread.fiber.Yield();
  if (op == WarpOp::kSync) OrderAfter(token);
  return thread.warp_request.result;
}

void Cta::Yield() {
  DeviceThread& thread = *current_thread;
  MakeReady(thread);
  thread.fiber.Yield();
}

void Cta::FailDeadlocked() {
  for (const DeviceThread* thread : threads_) {
    if (thread->state == DeviceThread::State::kAtBarrier) {
      FailIn(*thread,
             "waits at a barrier that not all threads reach: deadlock");
    }
    if (thread->state == DeviceThread::State::kAtWarpOp) {
      FailIn(*thread,
             "waits at a warp operation that not all its lanes reach: "
             "deadlock");
    }
  }
  Fail("deadlock");
}

void Cta::FailIn(const DeviceThread& thread, const std::string& what) {
  const auto spell = [](const uint3& index) {
    return "(" + std::to_string(index.x) + ", " + std::to_string(index.y) +
           ", " + std::to_string(index.z) + ")";
  };
  Fail(std::string(grid_->name) + ": thread " + spell(thread.index) +
       " of CTA " + spell(index_) + " " + what);
}

}  // namespace blockserve::cuda_host
