// Loops over OpenMP's threads: the runtime that oneDNN uses too, so that one
// set of threads does all the work of an engine.
//
// A loop runs either on the calling thread alone or on all `num_threads`:
// libgomp ends and restarts threads whenever the size of a team changes.
#ifndef BLOCKSERVE_KERNELS_CPU_PARALLEL_FOR_H_
#define BLOCKSERVE_KERNELS_CPU_PARALLEL_FOR_H_

#include <omp.h>

#include <algorithm>
#include <cstdint>

namespace blockserve::cpu {

// A loop with less work than this, in touched elements or multiply-adds, is
// done before another thread has woken up.
inline constexpr int64_t kMinParallelWork = 16384;

// ThreadSanitizer does not see libgomp's barriers and would report every loop.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kOneThreadOnly = true;
#else
inline constexpr bool kOneThreadOnly = false;
#endif

// True if a loop is not worth, or not allowed, more than one thread.
inline bool RunsAlone(int num_threads, int64_t count, int64_t work) {
  return kOneThreadOnly || num_threads == 1 || count < 2 ||
         count * work < kMinParallelWork;
}

// body(begin, end) over disjoint ranges that cover [0, count), one a thread.
// `work` is what one index costs.
template <typename Body>
void ParallelFor(int num_threads, int64_t count, int64_t work,
                 const Body& body) {
  if (RunsAlone(num_threads, count, work)) {
    if (count > 0) body(int64_t{0}, count);
    return;
  }
#pragma omp parallel num_threads(num_threads)
  {
    const int64_t thread = omp_get_thread_num();
    const int64_t team = omp_get_num_threads();
    const int64_t begin = count * thread / team;
    const int64_t end = count * (thread + 1) / team;
    if (begin < end) body(begin, end);
  }
}

// body(begin, end, thread) over small ranges, dealt to threads as they come
// free: for indices of very different cost. `thread` < num_threads.
template <typename Body>
void ParallelForDynamic(int num_threads, int64_t count, int64_t work,
                        const Body& body) {
  if (RunsAlone(num_threads, count, work)) {
    if (count > 0) body(int64_t{0}, count, 0);
    return;
  }
  // Some 16 ranges a thread even out the costs; dealing one costs ~50 ns.
  const int64_t step =
      std::clamp<int64_t>(count / (int64_t{16} * num_threads), 1, 16);
  const int64_t num_ranges = (count + step - 1) / step;
#pragma omp parallel for num_threads(num_threads) schedule(dynamic, 1)
  for (int64_t range = 0; range < num_ranges; ++range) {
    body(range * step, std::min(count, (range + 1) * step),
         omp_get_thread_num());
  }
}

// Ends the team of the calling thread, which has no more to do for a while.
// Every thread that opens a loop gets a team of its own, and once the process
// has more OpenMP threads than cores libgomp lets all of them sleep after a
// microsecond instead of waiting busily for the next loop: a step of batch 1
// took 1.4 times as long while the team that had packed the weights lived on.
inline void EndTeam() { omp_pause_resource_all(omp_pause_soft); }

// Makes OpenMP's default team of the calling thread `num_threads` while it
// lives: what oneDNN reads when it makes and runs primitives. The default
// belongs to the calling thread, which need not be the one that made the Ops.
class ScopedOmpThreads {
 public:
  explicit ScopedOmpThreads(int num_threads)
      : num_threads_before_(omp_get_max_threads()) {
    if (num_threads != num_threads_before_) omp_set_num_threads(num_threads);
  }
  ScopedOmpThreads(const ScopedOmpThreads&) = delete;
  ScopedOmpThreads& operator=(const ScopedOmpThreads&) = delete;
  ~ScopedOmpThreads() { omp_set_num_threads(num_threads_before_); }

 private:
  const int num_threads_before_;
};

}  // namespace blockserve::cpu

#endif  // BLOCKSERVE_KERNELS_CPU_PARALLEL_FOR_H_
