// What communicators over host memory have in common: they run a collective on
// the caller's thread, so it is done when the call returns.
#ifndef BLOCKSERVE_PARALLEL_HOST_HOST_COMMUNICATOR_H_
#define BLOCKSERVE_PARALLEL_HOST_HOST_COMMUNICATOR_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/api/tensor_view.h"
#include "parallel/api/communicator.h"

namespace blockserve {

// Checks what it is asked, counts, times, keeps the first error, and leaves to
// its children what moves bytes. Alone in its group it moves none: then every
// collective is done as soon as it is asked for.
class HostCommunicator : public Communicator {
 public:
  std::string_view name() const final { return name_; }
  int rank() const final { return rank_; }
  int size() const final { return size_; }

  void AllReduce(const TensorView& data) final;
  void ReduceScatter(const TensorView& data) final;
  void AllGather(absl::Span<const TensorView> arrays) final;
  void Broadcast(const TensorView& data, int root) final;
  void Barrier() final;

  absl::Status Synchronize() final { return error(); }
  absl::Status error() const final;
  void Abort(const absl::Status& why) final;
  CommunicatorStats stats() const final { return stats_; }

 protected:
  // One array of an AllGather.
  struct GatheredArray {
    std::byte* data = nullptr;
    size_t row_bytes = 0;
  };

  HostCommunicator(std::string_view name, int rank, int size,
                   const CommunicatorLimits& limits);

  const CommunicatorLimits& limits() const { return limits_; }

  // The collectives between two ranks or more, of one byte or more, within the
  // limits. An error poisons; its message need not name the op.
  virtual absl::Status RunAllReduce(absl::Span<float> data) = 0;
  virtual absl::Status RunReduceScatter(float* data, int64_t num_rows,
                                        int64_t row_length) = 0;
  virtual absl::Status RunAllGather(absl::Span<const GatheredArray> arrays,
                                    int64_t num_rows) = 0;
  virtual absl::Status RunBroadcast(absl::Span<std::byte> data, int root) = 0;
  virtual absl::Status RunBarrier() = 0;

  // Makes a Run* that waits for peers return soon, and lets the peers know if
  // that can be. Called after the first error, by any thread.
  virtual void Interrupt() = 0;

 private:
  void Run(CollectiveOp op, size_t num_bytes,
           absl::FunctionRef<absl::Status()> run);
  void Poison(const absl::Status& why);

  const std::string name_;
  const int rank_;
  const int size_;
  const CommunicatorLimits limits_;
  CommunicatorStats stats_;

  std::atomic<bool> poisoned_ = false;  // error_ is not OK; read without mutex_
  mutable std::mutex mutex_;
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_HOST_HOST_COMMUNICATOR_H_
