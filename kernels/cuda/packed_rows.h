// The sampling state of some rows as one piece of memory to copy to the device.
#ifndef BLOCKSERVE_KERNELS_CUDA_PACKED_ROWS_H_
#define BLOCKSERVE_KERNELS_CUDA_PACKED_ROWS_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "kernels/api/sample_args.h"
#include "kernels/cuda/sampling.h"

namespace blockserve::cuda {

class PackedRows {
 public:
  // For column `offset` of their block.
  void Pack(absl::Span<const SampleRow> rows, int offset);

  absl::Span<const std::byte> bytes() const { return bytes_; }
  // Lets `problem` point to the rows where they lie on the device.
  void PointTo(const void* device, SampleProblem& problem) const;

 private:
  // Where each array begins in bytes_.
  size_t history_ = 0;
  size_t bias_ids_ = 0;
  size_t bias_values_ = 0;
  size_t banned_ids_ = 0;
  std::vector<std::byte> bytes_;
};

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_PACKED_ROWS_H_
