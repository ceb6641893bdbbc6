// Kernels with a thread for each element: embedding, casts, moves of rows.
#ifndef BLOCKSERVE_KERNELS_CUDA_ELEMENTWISE_H_
#define BLOCKSERVE_KERNELS_CUDA_ELEMENTWISE_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/api/dtype.h"

namespace blockserve::cuda {

// output[i] (+)= table[max(ids[i * ids_stride], 0)]
struct EmbedProblem {
  const int32_t* ids = nullptr;
  int64_t ids_stride = 1;
  const void* table = nullptr;  // T [vocab_size, dim]
  float* output = nullptr;      // [num_rows, dim]
  int64_t num_rows = 0;
  int64_t dim = 0;
  bool accumulate = false;

  template <typename Visit>
  void VisitPointers(const Visit& visit) const {
    visit(ids), visit(table), visit(output);
  }
};
cudaError_t LaunchEmbed(const EmbedProblem& problem, DType dtype,
                        cudaStream_t stream);

// Between any two of fp32 and bf16.
cudaError_t LaunchCast(const void* input, DType input_dtype, void* output,
                       DType output_dtype, int64_t count, cudaStream_t stream);

// GELU with erf: T output[i] = gelu(input[i]); may be in place if T is float.
cudaError_t LaunchGelu(const float* input, void* output, DType dtype,
                       int64_t count, cudaStream_t stream);

// output[i] = input[indices[i]], rows of `dim` elements.
cudaError_t LaunchGatherRows(const void* input, const int32_t* indices,
                             void* output, int64_t num_rows, int64_t dim,
                             DType dtype, cudaStream_t stream);

// output = input[:, column_begin : column_begin + dim] of [num_rows, width].
cudaError_t LaunchCopyColumns(const void* input, int64_t width,
                              int64_t column_begin, void* output,
                              int64_t num_rows, int64_t dim, DType dtype,
                              cudaStream_t stream);

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_ELEMENTWISE_H_
