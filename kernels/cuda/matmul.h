// Products by cuBLASLt.
#ifndef BLOCKSERVE_KERNELS_CUDA_MATMUL_H_
#define BLOCKSERVE_KERNELS_CUDA_MATMUL_H_

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/api/buffer.h"
#include "kernels/api/dtype.h"

namespace blockserve::cuda {

// What the library does with a product before it is rounded and stored.
enum class Epilogue { kNone, kGeluTanh, kRelu };

// output = epilogue(input W^T + bias), or output += input W^T + bias.
struct MatmulProblem {
  const void* input = nullptr;   // input_dtype [rows, in_dim]
  const void* weight = nullptr;  // input_dtype [out_dim, in_dim]
  const void* bias = nullptr;    // output_dtype [out_dim], or null
  void* output = nullptr;        // output_dtype [rows, out_dim]
  int64_t rows = 0;
  int64_t in_dim = 0;
  int64_t out_dim = 0;
  DType input_dtype = DType::kFloat32;
  DType output_dtype = DType::kFloat32;  // input_dtype or fp32
  Epilogue epilogue = Epilogue::kNone;
  bool accumulate = false;  // without an epilogue
};

// Sums are fp32 (no TF32). Looks for an algorithm once for each matrix, kind of
// epilogue and power of two of rows, and keeps it. Used by one thread at a
// time.
class Matmul {
 public:
  // `workspace_bytes` on the current device, for all products: they must be
  // enqueued on one stream.
  static absl::StatusOr<std::unique_ptr<Matmul>> Create(size_t workspace_bytes);
  ~Matmul();
  Matmul(const Matmul&) = delete;
  Matmul& operator=(const Matmul&) = delete;

  // Enqueues a product of at least one row, column and element.
  absl::Status Multiply(const MatmulProblem& problem, cudaStream_t stream);

 private:
  struct Layouts;
  // What an algorithm is chosen for.
  using Key = std::array<int64_t, 9>;

  Matmul(cublasLtHandle_t handle, Buffer workspace)
      : handle_(handle), workspace_(std::move(workspace)) {}

  static Key KeyOf(const MatmulProblem& problem);
  absl::StatusOr<cublasLtMatmulAlgo_t> AlgorithmFor(
      const MatmulProblem& problem);

  cublasLtHandle_t handle_;
  Buffer workspace_;
  std::map<Key, cublasLtMatmulAlgo_t> algorithms_;
};

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_MATMUL_H_
