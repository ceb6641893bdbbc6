#include "runtime/backend/backend.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/reference/reference_ops.h"
#include "runtime/backend/linked_cuda.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

absl::StatusOr<DType> ParseDType(const std::string& name, DType default_dtype) {
  if (name == "auto") return default_dtype;
  if (name == NameOf(DType::kFloat32)) return DType::kFloat32;
  if (name == NameOf(DType::kBFloat16)) return DType::kBFloat16;
  return absl::InvalidArgumentError(
      absl::StrCat("dtype must be auto, fp32 or bf16, got \"", name, "\""));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Ops>> CreateBackend(
    const BackendOptions& options) {
  if (options.num_threads < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "num_threads must be at least 0, got ", options.num_threads));
  }
  if (options.backend == "reference") {
    ASSIGN_OR_RETURN(const DType dtype,
                     ParseDType(options.dtype, DType::kFloat32));
    return CreateReferenceOps(dtype);
  }
  if (options.backend == "cpu") {
    // Without instructions for it bf16 would only cost precision.
    const DType fastest = CpuHasBFloat16() ? DType::kBFloat16 : DType::kFloat32;
    ASSIGN_OR_RETURN(const DType dtype, ParseDType(options.dtype, fastest));
    return CreateCpuOps(dtype, options.num_threads);
  }
  if (options.backend == "cuda") {
    ASSIGN_OR_RETURN(const DType dtype,
                     ParseDType(options.dtype, DType::kBFloat16));
    if (linked_cuda == nullptr) {
      return absl::FailedPreconditionError(
          "backend cuda is not built in; build with --config=cuda");
    }
    return linked_cuda(dtype, options.device, options.rank);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "backend must be reference, cpu or cuda, got \"", options.backend, "\""));
}

CudaBackendFactory linked_cuda = nullptr;

std::vector<std::string> LinkedBackends() {
  std::vector<std::string> backends = {"cpu", "reference"};
  if (linked_cuda != nullptr) backends.push_back("cuda");
  return backends;
}

}  // namespace blockserve
