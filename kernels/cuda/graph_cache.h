// CUDA graphs of work that comes again and again.
#ifndef BLOCKSERVE_KERNELS_CUDA_GRAPH_CACHE_H_
#define BLOCKSERVE_KERNELS_CUDA_GRAPH_CACHE_H_

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <map>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace blockserve::cuda {

// One graph for each key. A key's work is enqueued as it is the first time, so
// that whatever it makes on first use (kernels that are loaded, algorithms that
// are looked for, scratch) is there; it is recorded the second time, and
// launched from then on. Used by one thread at a time.
class GraphCache {
 public:
  // `stream` must outlive this. More keys than `max_graphs` are not recorded.
  GraphCache(cudaStream_t stream, size_t max_graphs)
      : stream_(stream), max_graphs_(max_graphs) {}
  ~GraphCache() { Clear(); }
  GraphCache(const GraphCache&) = delete;
  GraphCache& operator=(const GraphCache&) = delete;

  // Enqueues what `enqueue` enqueues on the stream and nowhere else; it is
  // called only where there is no graph yet.
  absl::Status Run(uint64_t key, absl::FunctionRef<void()> enqueue);

  // Forgets all: what they point to is no more, or will not be. Those that run
  // run to their end.
  void Clear();

  size_t num_graphs() const { return num_graphs_; }
  bool is_recording() const { return is_recording_; }

 private:
  absl::Status Record(absl::FunctionRef<void()> enqueue,
                      cudaGraphExec_t* executable);

  const cudaStream_t stream_;
  const size_t max_graphs_;
  size_t num_graphs_ = 0;
  bool is_recording_ = false;
  // Null: enqueued once.
  std::map<uint64_t, cudaGraphExec_t> graphs_;
};

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_GRAPH_CACHE_H_
