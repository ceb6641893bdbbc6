#include "parallel/nccl/nvidia_status.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "parallel/nccl/library_status.h"

namespace blockserve {
namespace {

constexpr bool Same(NcclCode ours, ncclResult_t theirs) {
  return static_cast<int>(ours) == static_cast<int>(theirs);
}
constexpr bool Same(CudaCode ours, cudaError_t theirs) {
  return static_cast<int>(ours) == static_cast<int>(theirs);
}
static_assert(Same(NcclCode::kSuccess, ncclSuccess));
static_assert(Same(NcclCode::kUnhandledCudaError, ncclUnhandledCudaError));
static_assert(Same(NcclCode::kSystemError, ncclSystemError));
static_assert(Same(NcclCode::kInternalError, ncclInternalError));
static_assert(Same(NcclCode::kInvalidArgument, ncclInvalidArgument));
static_assert(Same(NcclCode::kInvalidUsage, ncclInvalidUsage));
static_assert(Same(NcclCode::kRemoteError, ncclRemoteError));
static_assert(Same(NcclCode::kInProgress, ncclInProgress));
static_assert(Same(CudaCode::kSuccess, cudaSuccess));
static_assert(Same(CudaCode::kMemoryAllocation, cudaErrorMemoryAllocation));
static_assert(Same(CudaCode::kInsufficientDriver, cudaErrorInsufficientDriver));
static_assert(Same(CudaCode::kNoDevice, cudaErrorNoDevice));
static_assert(Same(CudaCode::kNotReady, cudaErrorNotReady));

}  // namespace

absl::Status ToStatus(ncclResult_t result, std::string_view doing,
                      ncclComm_t communicator) {
  if (result == ncclSuccess || result == ncclInProgress) {
    return absl::OkStatus();
  }
  std::string words = ncclGetErrorString(result);
  const char* const last = ncclGetLastError(communicator);
  if (last != nullptr && last[0] != '\0') absl::StrAppend(&words, ": ", last);
  return StatusOfNccl(static_cast<NcclCode>(result), doing, words);
}

absl::Status ToStatus(cudaError_t result, std::string_view doing) {
  if (result == cudaSuccess || result == cudaErrorNotReady) {
    return absl::OkStatus();
  }
  return StatusOfCuda(static_cast<CudaCode>(result), doing,
                      cudaGetErrorString(result));
}

}  // namespace blockserve
