// What the results of CUDA and NCCL mean to a group.
#ifndef BLOCKSERVE_PARALLEL_NCCL_LIBRARY_STATUS_H_
#define BLOCKSERVE_PARALLEL_NCCL_LIBRARY_STATUS_H_

#include <string_view>

#include "absl/status/status.h"

namespace blockserve {

// NVIDIA's numbers, so that this needs none of its headers;
// parallel/nccl/nvidia_status.cc asserts that they are the same.
enum class NcclCode : int {
  kSuccess = 0,
  kUnhandledCudaError = 1,
  kSystemError = 2,
  kInternalError = 3,
  kInvalidArgument = 4,
  kInvalidUsage = 5,
  kRemoteError = 6,
  kInProgress = 7,
};
enum class CudaCode : int {
  kSuccess = 0,
  kMemoryAllocation = 2,
  kInsufficientDriver = 35,
  kNoDevice = 100,
  kNotReady = 600,
};

// What a library that was `doing` something came back with, in its own words.
// OK for success, and for what only is not done yet.
//   UNAVAILABLE    a peer is gone (NCCL's remote error)
//   INTERNAL       anything else: the library, the device or the call
absl::Status StatusOfNccl(NcclCode code, std::string_view doing,
                          std::string_view words);
//   RESOURCE_EXHAUSTED   no memory left on the device
//   FAILED_PRECONDITION  no device, or no driver for it
//   INTERNAL             anything else
absl::Status StatusOfCuda(CudaCode code, std::string_view doing,
                          std::string_view words);

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_NCCL_LIBRARY_STATUS_H_
