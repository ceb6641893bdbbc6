// The one place where results of CUDA and cuBLASLt become a Status.
#ifndef BLOCKSERVE_KERNELS_CUDA_CUDA_STATUS_H_
#define BLOCKSERVE_KERNELS_CUDA_CUDA_STATUS_H_

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <string_view>

#include "absl/status/status.h"

namespace blockserve::cuda {

// `doing`: what was tried, "allocating 4096 bytes".
//   FAILED_PRECONDITION  no device, or a driver that is too old
//   RESOURCE_EXHAUSTED   no memory
//   INTERNAL             everything else
absl::Status ToStatus(cudaError_t error, std::string_view doing);
absl::Status ToStatus(cublasStatus_t status, std::string_view doing);

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_CUDA_STATUS_H_
