#include "kernels/cuda/cuda_status.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace blockserve::cuda {

absl::Status ToStatus(cudaError_t error, std::string_view doing) {
  if (error == cudaSuccess) return absl::OkStatus();
  // Kept by the runtime too, where the next question would find it.
  (void)cudaGetLastError();
  const std::string message =
      absl::StrCat("CUDA: ", std::string(doing), ": ",
                   cudaGetErrorString(error), " (", error, ")");
  switch (error) {
    case cudaErrorInsufficientDriver:
    case cudaErrorNoDevice:
    case cudaErrorInvalidDevice:
      return absl::FailedPreconditionError(message);
    case cudaErrorMemoryAllocation:
      return absl::ResourceExhaustedError(message);
    default:
      return absl::InternalError(message);
  }
}

absl::Status ToStatus(cublasStatus_t status, std::string_view doing) {
  if (status == CUBLAS_STATUS_SUCCESS) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("cuBLASLt: ", std::string(doing),
                                          ": ", cublasLtGetStatusString(status),
                                          " (", status, ")"));
}

}  // namespace blockserve::cuda
