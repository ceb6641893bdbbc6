// Ops::SampleTokens: logits by cuBLASLt, then a kernel.
#ifndef BLOCKSERVE_KERNELS_CUDA_SAMPLER_H_
#define BLOCKSERVE_KERNELS_CUDA_SAMPLER_H_

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/api/buffer.h"
#include "kernels/api/ops.h"
#include "kernels/cuda/matmul.h"
#include "kernels/cuda/packed_rows.h"
#include "kernels/cuda/staged_copies.h"

namespace blockserve::cuda {

class CudaSampler {
 public:
  // Both must outlive this.
  CudaSampler(Matmul& matmul, StagedCopies& copies)
      : matmul_(matmul), copies_(copies) {}

  // Makes scratch for so many rows; without it the first call does.
  absl::Status Reserve(int64_t num_rows, int64_t vocab_size);
  // Takes over the rows of the Runs that follow with `rows_are_set`.
  absl::Status SetRows(absl::Span<const SampleRow> rows);
  // head is a CudaMatrix.
  absl::Status Run(const TensorView& input, const Matrix& head,
                   const SampleArgs& args, cudaStream_t stream);

  // How often scratch has moved: launches from before point elsewhere.
  int64_t num_moves() const { return num_moves_; }

 private:
  // Rows [begin, end) of `args`, as many as there is scratch for.
  absl::Status RunSlice(const TensorView& input, const Matrix& head,
                        const SampleArgs& args, int64_t begin, int64_t end,
                        cudaStream_t stream);
  absl::Status Grow(size_t num_bytes, Buffer& buffer);

  Matmul& matmul_;
  StagedCopies& copies_;
  PackedRows packed_;
  Buffer logits_;   // float [rows, vocab_size]
  Buffer changed_;  // the same
  Buffer rows_;     // PackedRows, on the device
  size_t num_set_ = 0;
  int64_t num_moves_ = 0;
};

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_SAMPLER_H_
