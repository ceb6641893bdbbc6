// Memory of the device and page-locked memory of the host, owned.
#ifndef BLOCKSERVE_KERNELS_CUDA_CUDA_MEMORY_H_
#define BLOCKSERVE_KERNELS_CUDA_CUDA_MEMORY_H_

#include <cuda_runtime_api.h>

#include <cstddef>

#include "absl/status/statusor.h"
#include "kernels/api/buffer.h"

namespace blockserve::cuda {

// On the current device. Aligned to 256 bytes; what it holds is undefined.
// RESOURCE_EXHAUSTED if there is not enough. Freeing it waits for the device.
absl::StatusOr<Buffer> AllocateOnDevice(size_t num_bytes);
// What the device copies from and to without the host waiting.
absl::StatusOr<Buffer> AllocatePinned(size_t num_bytes);

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_CUDA_MEMORY_H_
