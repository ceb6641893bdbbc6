// Events, captures and graphs of the fake CUDA runtime.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "kernels/cuda_host/failure.h"
#include "kernels/cuda_host/fake_runtime.h"

using blockserve::cuda_host::CurrentDevice;
using blockserve::cuda_host::Fail;
using blockserve::cuda_host::FakeRuntime;
using blockserve::cuda_host::GraphNode;

namespace {

FakeRuntime& Runtime() { return FakeRuntime::Get(); }

bool IsDone(const CUevent_st& event) {
  return event.progress == nullptr ||
         event.progress->num_done >= event.position;
}

// Whether every node of `nodes` is behind one of `from`.
bool Reaches(const CUgraph_st& graph, std::vector<int> from,
             const std::vector<int>& nodes) {
  std::set<int> reached;
  while (!from.empty()) {
    const int node = from.back();
    from.pop_back();
    if (!reached.insert(node).second) continue;
    const auto& dependencies = graph.nodes[node].dependencies;
    from.insert(from.end(), dependencies.begin(), dependencies.end());
  }
  return std::all_of(nodes.begin(), nodes.end(),
                     [&](int node) { return reached.count(node) > 0; });
}

// One launch of a graph: its nodes in any order that the dependencies allow.
class Replay {
 public:
  explicit Replay(cudaGraphExec_t graph) : nodes_(graph->nodes) {
    for (size_t i = 0; i < nodes_.size(); ++i) {
      left_.push_back(static_cast<int>(i));
    }
  }

  // Does what can be done; whether that was all.
  bool Run() {
    {
      const std::lock_guard<std::mutex> lock(Runtime().mutex);
      std::shuffle(left_.begin(), left_.end(), Runtime().random);
    }
    bool advanced = true;
    while (advanced && !left_.empty()) {
      advanced = false;
      for (size_t i = 0; i < left_.size(); ++i) {
        const GraphNode& node = nodes_[left_[i]];
        if (!CanRun(node) || !node.work.run()) continue;
        left_.erase(left_.begin() + static_cast<std::ptrdiff_t>(i));
        advanced = true;
        break;
      }
    }
    return left_.empty();
  }

 private:
  bool CanRun(const GraphNode& node) const {
    return std::none_of(
        node.dependencies.begin(), node.dependencies.end(), [&](int needed) {
          return std::find(left_.begin(), left_.end(), needed) != left_.end();
        });
  }

  std::vector<GraphNode> nodes_;
  std::vector<int> left_;
};

}  // namespace

extern "C" {

// --- events -----------------------------------------------------------------

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int flags) {
  const std::lock_guard<std::mutex> lock(Runtime().mutex);
  if (const cudaError_t error = Runtime().Enter("cudaEventCreateWithFlags")) {
    return error;
  }
  *event = new CUevent_st();
  (*event)->is_timed = (flags & cudaEventDisableTiming) == 0;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  bool is_captured = false;
  {
    const std::lock_guard<std::mutex> lock(Runtime().mutex);
    if (const cudaError_t error = Runtime().Enter("cudaEventRecord")) {
      return error;
    }
    is_captured = stream->capture != nullptr;
    event->capture = stream->capture;
    event->nodes = is_captured ? stream->tail : std::vector<int>();
  }
  if (is_captured) return cudaSuccess;
  auto time = std::make_shared<std::chrono::steady_clock::time_point>();
  const cudaError_t error =
      Runtime().Enqueue("cudaEventRecord, enqueued", stream,
                        {"an event", [time] {
                           *time = std::chrono::steady_clock::now();
                           return true;
                         }});
  if (error != cudaSuccess) return error;
  const std::lock_guard<std::mutex> lock(Runtime().mutex);
  event->progress = stream->progress;
  event->position = stream->progress->num_enqueued;
  event->time = std::move(time);
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  const std::lock_guard<std::mutex> lock(Runtime().mutex);
  if (const cudaError_t error = Runtime().Enter("cudaEventQuery")) return error;
  if (IsDone(*event)) return cudaSuccess;
  Runtime().Pursue(*event->progress, event->position);
  return cudaErrorNotReady;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  Runtime().Wait(CurrentDevice(), [=] { return IsDone(*event); });
  const std::lock_guard<std::mutex> lock(Runtime().mutex);
  return Runtime().Enter("cudaEventSynchronize");
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin,
                                 cudaEvent_t end) {
  const std::lock_guard<std::mutex> lock(Runtime().mutex);
  if (!begin->is_timed || !end->is_timed || begin->time == nullptr ||
      end->time == nullptr) {
    return Runtime().Remember(cudaErrorInvalidResourceHandle);
  }
  if (!IsDone(*begin) || !IsDone(*end)) return cudaErrorNotReady;
  *milliseconds =
      std::chrono::duration<float, std::milli>(*end->time - *begin->time)
          .count();
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event,
                                unsigned int) {
  {
    const std::lock_guard<std::mutex> lock(Runtime().mutex);
    if (event->capture != nullptr) {
      if (stream->capture != nullptr && stream->capture != event->capture) {
        return Runtime().Remember(cudaErrorStreamCaptureMerge);
      }
      stream->capture = event->capture;
      stream->tail.insert(stream->tail.end(), event->nodes.begin(),
                          event->nodes.end());
      return Runtime().Enter("cudaStreamWaitEvent");
    }
    if (stream->capture != nullptr) {
      return Runtime().Remember(cudaErrorStreamCaptureIsolation);
    }
  }
  const auto run = [progress = event->progress, position = event->position] {
    const std::lock_guard<std::mutex> lock(Runtime().mutex);
    return progress == nullptr || progress->num_done >= position;
  };
  return Runtime().Enqueue("cudaStreamWaitEvent", stream,
                           {"a wait for an event", run});
}

// --- capture ----------------------------------------------------------------

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  const std::lock_guard<std::mutex> lock(Runtime().mutex);
  if (const cudaError_t error = Runtime().Enter("cudaStreamBeginCapture")) {
    return error;
  }
  if (stream->capture != nullptr) {
    return Runtime().Remember(cudaErrorIllegalState);
  }
  stream->capture = new CUgraph_st();
  stream->began_capture = true;
  stream->is_invalidated = false;
  stream->tail.clear();
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const std::lock_guard<std::mutex> lock(Runtime().mutex);
  *graph = nullptr;
  if (stream->capture == nullptr || !stream->began_capture) {
    return Runtime().Remember(cudaErrorIllegalState);
  }
  std::unique_ptr<CUgraph_st> captured(stream->capture);
  bool is_invalidated = stream->is_invalidated;
  bool is_joined = true;
  for (CUstream_st* other : Runtime().streams) {
    if (other == stream || other->capture != captured.get()) continue;
    is_joined &= Reaches(*captured, stream->tail, other->tail);
    is_invalidated |= other->is_invalidated;
    other->capture = nullptr;
    other->tail.clear();
    other->is_invalidated = false;
  }
  stream->capture = nullptr;
  stream->began_capture = false;
  if (const cudaError_t error = Runtime().Enter("cudaStreamEndCapture")) {
    return error;
  }
  if (is_invalidated) {
    return Runtime().Remember(cudaErrorStreamCaptureInvalidated);
  }
  if (!is_joined) return Runtime().Remember(cudaErrorStreamCaptureUnjoined);
  *graph = captured.release();
  return cudaSuccess;
}

// --- graphs -----------------------------------------------------------------

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  const std::lock_guard<std::mutex> lock(Runtime().mutex);
  if (const cudaError_t error = Runtime().Enter("cudaGraphInstantiate")) {
    return error;
  }
  *executable = new CUgraphExec_st{graph->nodes, CurrentDevice()};
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  if (stream->capture != nullptr) Fail("a graph launched into a capture");
  if (executable->device != stream->device) {
    Fail("a graph launched on a stream of another device");
  }
  {
    const std::lock_guard<std::mutex> lock(Runtime().mutex);
    ++Runtime().counts.num_graph_launches;
  }
  auto replay = std::make_shared<Replay>(executable);
  return Runtime().Enqueue("cudaGraphLaunch", stream,
                           {"a graph", [replay] { return replay->Run(); }});
}

}  // extern "C"
