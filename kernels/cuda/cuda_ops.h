// The backend for NVIDIA GPUs.
//
// Compiled for sm_80, sm_90 and sm_100, and run on the host by its tests
// (kernels/cuda_host); not yet run on a device.
#ifndef BLOCKSERVE_KERNELS_CUDA_CUDA_OPS_H_
#define BLOCKSERVE_KERNELS_CUDA_CUDA_OPS_H_

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"
#include "kernels/api/ops.h"

namespace blockserve {

struct CudaOptions {
  DType dtype = DType::kBFloat16;  // or kFloat32
  int device_ordinal = 0;
  // cuBLASLt's: NVIDIA's advice for Hopper.
  size_t workspace_bytes = 32 << 20;
  // fp32 results that are rounded behind a bias or an activation.
  size_t scratch_bytes = 64 << 20;
  // Page-locked memory that copies go through: a step's arrays and the states
  // of its rows, several times over.
  size_t staging_bytes = 16 << 20;
  // Replay records CUDA graphs; false: it is a call.
  bool graphs = true;
};

// All work goes to one stream, in order. Calls return before it is done;
// CopyToDevice has taken what it was given when it returns, and what CopyToHost
// was asked for is there after Synchronize. Graphs hold what a communicator has
// enqueued: ForgetReplays before it is closed. A thread that calls has the
// device as its current one afterwards.
class CudaOps : public Ops {
 public:
  // FAILED_PRECONDITION where there is no such device; RESOURCE_EXHAUSTED
  // where it has no memory left.
  static absl::StatusOr<std::unique_ptr<CudaOps>> Create(
      const CudaOptions& options);

  // How many devices there are. FAILED_PRECONDITION where there is no driver.
  static absl::StatusOr<int> NumDevices();

  // What communicators enqueue on; lives as long as the Ops.
  virtual cudaStream_t stream() const = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_KERNELS_CUDA_CUDA_OPS_H_
