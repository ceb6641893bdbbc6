// One CTA (CUDA's "thread block"; a block is something else here): its threads
// as fibers, and what they do together.
#ifndef BLOCKSERVE_KERNELS_CUDA_HOST_CTA_H_
#define BLOCKSERVE_KERNELS_CUDA_HOST_CTA_H_

#include <vector_types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/cuda_host/async_copies.h"
#include "kernels/cuda_host/fiber.h"
#include "kernels/cuda_host/schedule.h"
#include "kernels/cuda_host/shared_memory.h"
#include "kernels/cuda_host/warp_op.h"

namespace blockserve::cuda_host {

inline constexpr int kMaxThreadsPerCta = 1024;

class Cta;

enum class BarrierKind { kPlain, kOr, kAnd, kCount };

// One device thread. Reused from CTA to CTA.
struct DeviceThread {
  enum class State { kReady, kAtBarrier, kAtWarpOp, kDone };

  Fiber fiber;
  Cta* cta = nullptr;
  uint3 index = {};
  int linear_index = 0;
  State state = State::kDone;
  BarrierKind barrier = BarrierKind::kPlain;
  uint64_t barrier_value = 0;
  uint64_t barrier_result = 0;
  LaneRequest warp_request;
  AsyncCopies copies;
};

// What all CTAs of a grid share.
struct GridContext {
  const char* name = "";
  dim3 grid_extents;
  dim3 cta_extents;
  size_t dynamic_shared_bytes = 0;
  const std::function<void()>* body = nullptr;
  Policy policy = Policy::kForward;
  std::minstd_rand random;
  // What ThreadSanitizer orders by: launch before threads before the end.
  char launched = 0;
  char ended = 0;
};

class Cta {
 public:
  // `threads`: one for each of the CTA, at least as many as it has. Both must
  // outlive the run.
  void Start(GridContext& grid, uint3 index,
             std::vector<DeviceThread*> threads);

  bool is_done() const { return num_live_ == 0; }
  bool can_run() const { return !picker_.empty(); }
  // Lets one thread run until it waits, yields or ends. Needs can_run().
  void RunOne();
  // Ends the process, saying which threads wait for what.
  [[noreturn]] void FailDeadlocked();
  void Finish() { shared_memory_.Clear(); }

  // --- from device code, by the running thread ------------------------------
  uint64_t AwaitBarrier(BarrierKind kind, uint64_t value);
  uint64_t AwaitWarp(WarpOp op, uint32_t mask, uint64_t value, int argument,
                     int width);
  void Yield();
  SharedMemory& shared_memory() { return shared_memory_; }
  const GridContext& grid() const { return *grid_; }
  const uint3& index() const { return index_; }

 private:
  static void RunThread(void* thread);
  void MakeReady(DeviceThread& thread);
  void TryBarrier();
  void TryWarpOp(DeviceThread& newest);
  void CheckLane(const DeviceThread& lane, const DeviceThread& newest);
  [[noreturn]] void FailIn(const DeviceThread& thread, const std::string& what);

  GridContext* grid_ = nullptr;
  uint3 index_ = {};
  std::vector<DeviceThread*> threads_;
  int num_threads_ = 0;
  int num_live_ = 0;
  int num_at_barrier_ = 0;
  ThreadPicker picker_;
  SharedMemory shared_memory_;
  char barrier_token_ = 0;
  std::vector<char> warp_tokens_;
};

// The thread that runs; null outside of device code. Not thread_local, whose
// wrapper UndefinedBehaviorSanitizer takes for a null reference.
extern __thread DeviceThread* current_thread;

}  // namespace blockserve::cuda_host

#endif  // BLOCKSERVE_KERNELS_CUDA_HOST_CTA_H_
