// Weights on the device: row-major, rounded to T.
#ifndef BLOCKSERVE_KERNELS_CUDA_CUDA_MATRIX_H_
#define BLOCKSERVE_KERNELS_CUDA_CUDA_MATRIX_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "kernels/api/buffer.h"
#include "kernels/api/ops.h"

namespace blockserve::cuda {

class CudaMatrix final : public Matrix {
 public:
  // elements: T [out_dim, in_dim]
  CudaMatrix(Buffer elements, int64_t out_dim, int64_t in_dim)
      : elements_(std::move(elements)), out_dim_(out_dim), in_dim_(in_dim) {}

  int64_t out_dim() const override { return out_dim_; }
  int64_t in_dim() const override { return in_dim_; }
  size_t num_bytes() const override { return elements_.num_bytes(); }

  const void* data() const { return elements_.data(); }

 private:
  Buffer elements_;
  int64_t out_dim_;
  int64_t in_dim_;
};

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_CUDA_MATRIX_H_
