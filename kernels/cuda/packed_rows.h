// The sampling state of some rows as one piece of memory to copy to the device.
#ifndef BLOCKSERVE_KERNELS_CUDA_PACKED_ROWS_H_
#define BLOCKSERVE_KERNELS_CUDA_PACKED_ROWS_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "kernels/api/sample_args.h"
#include "kernels/cuda/sampling.h"

namespace blockserve::cuda {

// For all columns of a block: which one is drawn, the device is told by the
// launch.
class PackedRows {
 public:
  void Pack(absl::Span<const SampleRow> rows);

  // A SampleRowsHeader, the rows, their lists.
  absl::Span<const std::byte> bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_PACKED_ROWS_H_
