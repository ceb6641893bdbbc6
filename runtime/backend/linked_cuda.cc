#include "runtime/backend/linked_cuda.h"

#include <algorithm>

#include "kernels/cuda/cuda_ops.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

absl::StatusOr<std::unique_ptr<Ops>> CreateCudaBackend(DType dtype, int device,
                                                       int rank) {
  CudaOptions options;
  options.dtype = dtype;
  options.device_ordinal = device;
  if (device < 0) {
    ASSIGN_OR_RETURN(const int num_devices, CudaOps::NumDevices());
    options.device_ordinal = rank % std::max(1, num_devices);
  }
  ASSIGN_OR_RETURN(std::unique_ptr<CudaOps> ops, CudaOps::Create(options));
  return ops;
}

[[maybe_unused]] const bool is_linked = [] {
  linked_cuda = &CreateCudaBackend;
  return true;
}();

}  // namespace
}  // namespace blockserve
