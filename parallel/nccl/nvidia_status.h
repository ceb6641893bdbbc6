// The one place where results of CUDA and NCCL become a Status.
#ifndef BLOCKSERVE_PARALLEL_NCCL_NVIDIA_STATUS_H_
#define BLOCKSERVE_PARALLEL_NCCL_NVIDIA_STATUS_H_

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <string_view>

#include "absl/status/status.h"

namespace blockserve {

// As parallel/nccl/library_status.h says. `communicator` may be null; it is
// asked for more words.
absl::Status ToStatus(ncclResult_t result, std::string_view doing,
                      ncclComm_t communicator = nullptr);
absl::Status ToStatus(cudaError_t result, std::string_view doing);

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_NCCL_NVIDIA_STATUS_H_
