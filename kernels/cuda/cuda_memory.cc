#include "kernels/cuda/cuda_memory.h"

#include "absl/strings/str_cat.h"
#include "kernels/cuda/cuda_status.h"
#include "runtime/base/status_macros.h"

namespace blockserve::cuda {

absl::StatusOr<Buffer> AllocateOnDevice(size_t num_bytes) {
  void* data = nullptr;
  RETURN_IF_ERROR(
      ToStatus(cudaMalloc(&data, num_bytes),
               absl::StrCat("allocating ", num_bytes, " bytes of a device")));
  return Buffer(data, num_bytes, [](void* data) { (void)cudaFree(data); });
}

absl::StatusOr<Buffer> AllocatePinned(size_t num_bytes) {
  void* data = nullptr;
  RETURN_IF_ERROR(ToStatus(
      cudaMallocHost(&data, num_bytes),
      absl::StrCat("allocating ", num_bytes, " bytes of page-locked memory")));
  return Buffer(data, num_bytes, [](void* data) { (void)cudaFreeHost(data); });
}

}  // namespace blockserve::cuda
