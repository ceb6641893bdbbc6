// The state behind the fake CUDA functions: memory, streams, events, captures.
#ifndef BLOCKSERVE_KERNELS_CUDA_HOST_FAKE_RUNTIME_H_
#define BLOCKSERVE_KERNELS_CUDA_HOST_FAKE_RUNTIME_H_

#include <cuda_runtime_api.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "kernels/cuda_host/fake_cuda.h"
#include "kernels/cuda_host/memory_registry.h"

namespace blockserve::cuda_host {

// One thing that a stream does. `run` is called without locks; false: it
// cannot be done yet (an event, a peer) and is asked again.
struct Work {
  std::string what;
  std::function<bool()> run;
};

// How far a stream has come; outlives it in its events.
struct Progress {
  int device = 0;
  uint64_t num_enqueued = 0;
  uint64_t num_done = 0;
  uint64_t num_wanted = 0;  // somebody asks again and again whether it is done
};

struct GraphNode {
  Work work;
  std::vector<int> dependencies;  // indices of earlier nodes
};

}  // namespace blockserve::cuda_host

// CUDA's opaque types.
struct CUgraph_st {
  std::vector<blockserve::cuda_host::GraphNode> nodes;
};
struct CUgraphExec_st {
  std::vector<blockserve::cuda_host::GraphNode> nodes;
  int device = 0;
};
struct CUstream_st {
  int device = 0;
  std::deque<blockserve::cuda_host::Work> queue;
  std::shared_ptr<blockserve::cuda_host::Progress> progress =
      std::make_shared<blockserve::cuda_host::Progress>();
  bool is_running = false;
  // While it is captured, or joined a capture by an event.
  CUgraph_st* capture = nullptr;
  bool began_capture = false;
  bool is_invalidated = false;
  std::vector<int> tail;  // the nodes that the next one depends on
};
struct CUevent_st {
  bool is_timed = false;
  std::shared_ptr<blockserve::cuda_host::Progress> progress;
  uint64_t position = 0;
  std::shared_ptr<std::chrono::steady_clock::time_point> time;
  // Where it was recorded in a capture.
  CUgraph_st* capture = nullptr;
  std::vector<int> nodes;
};

namespace blockserve::cuda_host {

// Of the process. Members are guarded by `mutex`, which nobody holds while
// work runs.
class FakeRuntime {
 public:
  static FakeRuntime& Get();

  // The error that the call `name` is to return at once: an injected one, or
  // that of a lost device; remembered for cudaGetLastError.
  cudaError_t Enter(const std::string& name);
  cudaError_t Remember(cudaError_t error);
  // Takes the lock. As Enter(name), then enqueues or records `work`.
  cudaError_t Enqueue(const std::string& name, cudaStream_t stream, Work work);

  // Lets the device come to `position` of a stream while nobody waits: who only
  // asks, does not lend it a thread. Under `mutex`.
  void Pursue(Progress& progress, uint64_t position);

  // Runs the device's work until `is_done`. Fails if that does not come about.
  void Wait(int device, const std::function<bool()>& is_done);

  std::mutex mutex;
  FakeCudaOptions options;
  FakeCudaCounts counts;
  MemoryRegistry memory;
  std::vector<cudaStream_t> streams;  // in the order of their creation
  std::minstd_rand random;
  struct InjectedFailure {
    int calls_left = 0;
    cudaError_t error = cudaSuccess;
  };
  std::map<std::string, InjectedFailure> failing_calls;
  struct FailingDevice {
    int ops_left = 0;
    cudaError_t error = cudaSuccess;
  };
  std::map<int, FailingDevice> failing_devices;

  // Invalidates the captures that a call which may not be captured meets; false
  // if there are any on the current device.
  bool NoCaptureOnCurrentDevice();

 private:
  bool RunOne(int device, std::unique_lock<std::mutex>& lock);
  bool IsLost(int device) const;
  // A thread of the process for each device, from its first Pursue on.
  void RunWanted(int device);

  std::set<int> pursuing_;  // devices
  std::condition_variable wanted_;
};

// Fails for the default stream, which orders itself against all others.
int DeviceOf(cudaStream_t stream, const std::string& what);

// Of the calling thread.
int CurrentDevice();
void SetCurrentDevice(int device);
cudaError_t TakeLastError(bool and_forget);

}  // namespace blockserve::cuda_host

#endif  // BLOCKSERVE_KERNELS_CUDA_HOST_FAKE_RUNTIME_H_
