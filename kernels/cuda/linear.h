// Ops::Linear by cuBLASLt and, where the library has no epilogue for it, a
// kernel behind.
#ifndef BLOCKSERVE_KERNELS_CUDA_LINEAR_H_
#define BLOCKSERVE_KERNELS_CUDA_LINEAR_H_

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/api/buffer.h"
#include "kernels/api/ops.h"
#include "kernels/cuda/matmul.h"

namespace blockserve::cuda {

// The library adds a bias of the output's type only, and its GELU is the tanh
// form. So whatever is rounded to bf16 behind a bias or an activation is made
// in fp32 scratch first, a slice of rows at a time, and rounded once by a
// kernel; so is the GELU with erf.
class CudaLinear {
 public:
  // `matmul` must outlive this.
  static absl::StatusOr<std::unique_ptr<CudaLinear>> Create(
      size_t scratch_bytes, DType dtype, Matmul& matmul);

  // Before a product with so many columns. May allocate.
  absl::Status ReserveColumns(int64_t out_dim);
  // args.weight is a CudaMatrix.
  absl::Status Run(const LinearArgs& args, cudaStream_t stream);

 private:
  CudaLinear(Buffer scratch, DType dtype, Matmul& matmul)
      : scratch_(std::move(scratch)), dtype_(dtype), matmul_(matmul) {}

  absl::Status RunByScratch(const LinearArgs& args, MatmulProblem problem,
                            cudaStream_t stream);

  Buffer scratch_;
  DType dtype_;
  Matmul& matmul_;
};

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_LINEAR_H_
