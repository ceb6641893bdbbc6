#include "kernels/cuda/graph_cache.h"

#include "kernels/cuda/cuda_status.h"
#include "runtime/base/status_macros.h"

namespace blockserve::cuda {

absl::Status GraphCache::Run(uint64_t key, absl::FunctionRef<void()> enqueue) {
  const auto [entry, is_new] = graphs_.try_emplace(key, nullptr);
  cudaGraphExec_t& executable = entry->second;
  if (is_new || (executable == nullptr && num_graphs_ >= max_graphs_)) {
    enqueue();
    return absl::OkStatus();
  }
  if (executable == nullptr) {
    RETURN_IF_ERROR(Record(enqueue, &executable));
    ++num_graphs_;
  }
  return ToStatus(cudaGraphLaunch(executable, stream_), "launching a graph");
}

absl::Status GraphCache::Record(absl::FunctionRef<void()> enqueue,
                                cudaGraphExec_t* executable) {
  // Of this thread: others may look at events meanwhile.
  RETURN_IF_ERROR(ToStatus(
      cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal),
      "recording a graph"));
  is_recording_ = true;
  enqueue();
  is_recording_ = false;
  cudaGraph_t graph = nullptr;
  RETURN_IF_ERROR(
      ToStatus(cudaStreamEndCapture(stream_, &graph), "recording a graph"));
  const absl::Status status = ToStatus(
      cudaGraphInstantiate(executable, graph, 0), "making a graph ready");
  (void)cudaGraphDestroy(graph);
  return status;
}

void GraphCache::Clear() {
  for (const auto& [key, executable] : graphs_) {
    if (executable != nullptr) (void)cudaGraphExecDestroy(executable);
  }
  graphs_.clear();
  num_graphs_ = 0;
}

}  // namespace blockserve::cuda
