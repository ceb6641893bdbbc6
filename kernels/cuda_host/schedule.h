// In which order the threads of a grid run.
#ifndef BLOCKSERVE_KERNELS_CUDA_HOST_SCHEDULE_H_
#define BLOCKSERVE_KERNELS_CUDA_HOST_SCHEDULE_H_

#include <cstdint>
#include <random>
#include <vector>

namespace blockserve::cuda_host {

// A device promises no order, so code must be right under each of these. What
// is forgotten between threads of two warps shows best under kRandomWarps: one
// warp runs far ahead of another (PCT, Burckhardt et al., ASPLOS 2010), while
// random threads keep all of them close together.
enum class Policy { kForward, kReverse, kRandomThreads, kRandomWarps };
inline constexpr Policy kPolicies[] = {Policy::kForward, Policy::kReverse,
                                       Policy::kRandomThreads,
                                       Policy::kRandomWarps};

struct ScheduleOptions {
  Policy policy = Policy::kRandomWarps;
  uint64_t seed = 1;
};

// For grids that begin from now on, in all threads of the process.
void SetSchedule(const ScheduleOptions& options);
ScheduleOptions CurrentSchedule();

// A generator whose first numbers already differ between small seeds.
inline std::minstd_rand SeededRandom(uint64_t seed) {
  return std::minstd_rand(
      static_cast<uint32_t>((seed + 1) * 0x9E3779B97F4A7C15u >> 33));
}

// The threads of one CTA that can run. Picks one after another.
class ThreadPicker {
 public:
  // All `num_threads` can run. `random` must outlive the picker.
  void Reset(int num_threads, Policy policy, std::minstd_rand* random);

  void MakeReady(int thread) {
    ready_[thread / kWarpSize] |= 1u << (thread % kWarpSize);
    ++num_ready_;
  }
  bool empty() const { return num_ready_ == 0; }
  // Takes one out. Not if empty().
  int Pick();

 private:
  static constexpr int kWarpSize = 32;
  static constexpr int kMaxWarps = 32;

  int NextInOrder(int step);
  int PickWarp();

  Policy policy_ = Policy::kForward;
  std::minstd_rand* random_ = nullptr;
  int num_threads_ = 0;
  int num_ready_ = 0;
  int last_ = 0;
  uint32_t ready_[kMaxWarps] = {};
  uint32_t priorities_[kMaxWarps] = {};
};

}  // namespace blockserve::cuda_host

#endif  // BLOCKSERVE_KERNELS_CUDA_HOST_SCHEDULE_H_
