#include "parallel/nccl/library_status.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace blockserve {
namespace {

std::string Message(std::string_view library, int code, std::string_view doing,
                    std::string_view words) {
  return absl::StrCat(std::string(doing), ": ", std::string(library), " ", code,
                      ": ", std::string(words));
}

}  // namespace

absl::Status StatusOfNccl(NcclCode code, std::string_view doing,
                          std::string_view words) {
  if (code == NcclCode::kSuccess || code == NcclCode::kInProgress) {
    return absl::OkStatus();
  }
  const std::string message =
      Message("NCCL", static_cast<int>(code), doing, words);
  return code == NcclCode::kRemoteError ? absl::UnavailableError(message)
                                        : absl::InternalError(message);
}

absl::Status StatusOfCuda(CudaCode code, std::string_view doing,
                          std::string_view words) {
  const std::string message =
      Message("CUDA", static_cast<int>(code), doing, words);
  switch (code) {
    case CudaCode::kSuccess:
    case CudaCode::kNotReady:
      return absl::OkStatus();
    case CudaCode::kMemoryAllocation:
      return absl::ResourceExhaustedError(message);
    case CudaCode::kInsufficientDriver:
    case CudaCode::kNoDevice:
      return absl::FailedPreconditionError(message);
  }
  return absl::InternalError(message);
}

}  // namespace blockserve
