// CreateBackend of programs that are built without the CPU's backend, which
// needs libraries that a machine with GPUs may lack.
#include "absl/strings/str_cat.h"
#include "kernels/reference/reference_ops.h"
#include "runtime/backend/backend.h"
#include "runtime/backend/linked_cuda.h"

namespace blockserve {

CudaBackendFactory linked_cuda = nullptr;

absl::StatusOr<std::unique_ptr<Ops>> CreateBackend(
    const BackendOptions& options) {
  const DType dtype =
      options.dtype == "fp32" ? DType::kFloat32 : DType::kBFloat16;
  if (options.backend == "reference") return CreateReferenceOps(dtype);
  if (options.backend == "cuda" && linked_cuda != nullptr) {
    return linked_cuda(dtype, options.device, options.rank);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "backend must be reference or cuda, got \"", options.backend, "\""));
}

std::vector<std::string> LinkedBackends() { return {"cuda", "reference"}; }

}  // namespace blockserve
