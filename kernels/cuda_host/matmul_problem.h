// A product as cuBLASLt is asked for it, checked and computed on the host.
#ifndef BLOCKSERVE_KERNELS_CUDA_HOST_MATMUL_PROBLEM_H_
#define BLOCKSERVE_KERNELS_CUDA_HOST_MATMUL_PROBLEM_H_

#include <cublasLt.h>

#include <cstddef>
#include <cstdint>

namespace blockserve::cuda_host {

struct MatmulDescription {
  bool is_a_transposed = false;
  bool is_b_transposed = false;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
};

// Column-major.
struct MatrixLayout {
  cudaDataType_t type = CUDA_R_32F;
  uint64_t rows = 0;
  uint64_t columns = 0;
  int64_t leading_dimension = 0;

  // From the first element to behind the last.
  size_t num_bytes() const;
};

// D = epilogue(op(A) op(B) + beta C), with alpha = 1.
struct MatmulProblem {
  MatmulDescription description;
  MatrixLayout a, b, c, d;

  uint64_t rows() const { return d.rows; }
  uint64_t columns() const { return d.columns; }
  uint64_t inner() const {
    return description.is_a_transposed ? a.rows : a.columns;
  }
  bool has_bias() const;
  size_t bias_bytes() const;

  // SUCCESS, INVALID_VALUE for extents that do not fit, NOT_SUPPORTED for
  // types that the library has no kernels for.
  cublasStatus_t Check() const;
  // What an algorithm depends on; the number of columns is not part of it.
  uint64_t Fingerprint() const;
  void Run(const void* a_data, const void* b_data, const void* c_data,
           void* d_data, float beta) const;
};

size_t SizeOfElement(cudaDataType_t type);

}  // namespace blockserve::cuda_host

#endif  // BLOCKSERVE_KERNELS_CUDA_HOST_MATMUL_PROBLEM_H_
