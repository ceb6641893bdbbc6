// Copies between the host's ordinary memory and the device.
#ifndef BLOCKSERVE_KERNELS_CUDA_STAGED_COPIES_H_
#define BLOCKSERVE_KERNELS_CUDA_STAGED_COPIES_H_

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/api/buffer.h"

namespace blockserve::cuda {

// Everything goes through page-locked memory of fixed size, so that a copy is
// enqueued without waiting: what goes to the device is taken when it is asked
// for, what comes from there arrives in Synchronize. Only where a call needs
// more than is left is the stream waited for.
class StagedCopies {
 public:
  // `stream` must outlive this.
  static absl::StatusOr<std::unique_ptr<StagedCopies>> Create(
      size_t num_bytes, cudaStream_t stream);

  absl::Status ToDevice(const void* host, void* device, size_t num_bytes);
  // `host` is written by Synchronize, or before.
  absl::Status ToHost(const void* device, void* host, size_t num_bytes);

  // Waits for the stream and delivers.
  absl::Status Synchronize();

 private:
  struct Delivery {
    void* host = nullptr;
    const void* staged = nullptr;
    size_t num_bytes = 0;
  };

  StagedCopies(Buffer memory, cudaStream_t stream)
      : memory_(std::move(memory)), stream_(stream) {}

  // Room for a part of what `num_bytes` are left of.
  absl::StatusOr<size_t> Reserve(size_t num_bytes);

  Buffer memory_;
  cudaStream_t stream_;
  size_t used_ = 0;
  std::vector<Delivery> deliveries_;
};

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_STAGED_COPIES_H_
