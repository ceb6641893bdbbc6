// Layer norm, the two norms of a parallel residual, and RMS norm.
#ifndef BLOCKSERVE_KERNELS_CUDA_NORM_H_
#define BLOCKSERVE_KERNELS_CUDA_NORM_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/api/dtype.h"

namespace blockserve::cuda {

// Scale, shift and place of one result; unused without `output`.
struct NormOutput {
  const float* gamma = nullptr;  // [dim]
  const float* beta = nullptr;   // [dim], or null: zero
  void* output = nullptr;        // T [num_rows, dim]
};

struct NormProblem {
  const float* input = nullptr;  // [num_rows, dim]
  int64_t num_rows = 0;
  int dim = 0;
  float eps = 0.0f;
  bool subtracts_mean = true;  // false: RMS norm
  // Both of the same mean and variance.
  NormOutput first;
  NormOutput second;
  // With first's scale and shift, or null. May be `input`.
  float* float_output = nullptr;

  template <typename Visit>
  void VisitPointers(const Visit& visit) const {
    visit(input), visit(float_output);
    for (const NormOutput& norm : {first, second}) {
      visit(norm.gamma), visit(norm.beta), visit(norm.output);
    }
  }
};

cudaError_t LaunchNorm(const NormProblem& problem, DType dtype,
                       cudaStream_t stream);

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_NORM_H_
