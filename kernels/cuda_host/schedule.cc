#include "kernels/cuda_host/schedule.h"

#include <algorithm>
#include <bit>
#include <mutex>

namespace blockserve::cuda_host {
namespace {

// A warp changes its priority about once in so many picks.
constexpr uint32_t kPicksPerChange = 256;

std::mutex options_mutex;
ScheduleOptions current_options;

}  // namespace

void SetSchedule(const ScheduleOptions& options) {
  const std::lock_guard<std::mutex> lock(options_mutex);
  current_options = options;
}

ScheduleOptions CurrentSchedule() {
  const std::lock_guard<std::mutex> lock(options_mutex);
  return current_options;
}

void ThreadPicker::Reset(int num_threads, Policy policy,
                         std::minstd_rand* random) {
  policy_ = policy;
  random_ = random;
  num_threads_ = num_threads;
  num_ready_ = num_threads;
  last_ = policy == Policy::kReverse ? num_threads : -1;
  for (int warp = 0; warp < kMaxWarps; ++warp) {
    const int rest = std::clamp(num_threads - warp * kWarpSize, 0, kWarpSize);
    ready_[warp] = rest == kWarpSize ? ~0u : (1u << rest) - 1;
  }
  if (policy == Policy::kRandomWarps) {
    for (uint32_t& priority : priorities_) {
      priority = static_cast<uint32_t>((*random)());
    }
  }
}

int ThreadPicker::Pick() {
  int thread = 0;
  switch (policy_) {
    case Policy::kForward:
      thread = NextInOrder(1);
      break;
    case Policy::kReverse:
      thread = NextInOrder(-1);
      break;
    case Policy::kRandomThreads:
    case Policy::kRandomWarps: {
      const int warp = PickWarp();
      // The first ready lane at or behind a random one.
      const int from = static_cast<int>((*random_)() >> 8) % kWarpSize;
      const int lane =
          (std::countr_zero(std::rotr(ready_[warp], from)) + from) % kWarpSize;
      thread = warp * kWarpSize + lane;
      break;
    }
  }
  ready_[thread / kWarpSize] &= ~(1u << (thread % kWarpSize));
  --num_ready_;
  return thread;
}

int ThreadPicker::NextInOrder(int step) {
  do {
    last_ = (last_ + step + num_threads_) % num_threads_;
  } while ((ready_[last_ / kWarpSize] >> (last_ % kWarpSize) & 1) == 0);
  return last_;
}

int ThreadPicker::PickWarp() {
  const int num_warps = (num_threads_ + kWarpSize - 1) / kWarpSize;
  if (num_warps == 1) return 0;
  const auto random_warp = [&] {
    return static_cast<int>(((*random_)() >> 8) % num_warps);
  };
  if (policy_ == Policy::kRandomThreads) {
    int warp = random_warp();
    while (ready_[warp] == 0) warp = (warp + 1) % num_warps;
    return warp;
  }
  if (((*random_)() >> 8) % kPicksPerChange == 0) {
    priorities_[random_warp()] = static_cast<uint32_t>((*random_)());
  }
  int best = -1;
  for (int warp = 0; warp < num_warps; ++warp) {
    if (ready_[warp] == 0) continue;
    if (best < 0 || priorities_[warp] > priorities_[best]) best = warp;
  }
  return best;
}

}  // namespace blockserve::cuda_host
