// Matrix products of the CPU backend.
//
// One seam, two implementations: oneDNN (onednn_linear.h) on every CPU and for
// every type, our own tile products (amx/amx_linear.h) for bf16 on CPUs with
// AMX. A matrix is packed for the engine that multiplies with it, once.
#ifndef BLOCKSERVE_KERNELS_CPU_LINEAR_H_
#define BLOCKSERVE_KERNELS_CPU_LINEAR_H_

#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/api/ops.h"
#include "kernels/cpu/largest_logit.h"

namespace blockserve::cpu {

// Used by one thread at a time. Matrices that it packs must not outlive it.
class LinearEngine {
 public:
  virtual ~LinearEngine() = default;

  // For the start-up report: "oneDNN".
  virtual std::string_view name() const = 0;

  // Rows of the largest product for which to be ready.
  virtual void set_max_rows(int64_t max_rows) = 0;

  // As Ops::PackMatrix.
  virtual absl::StatusOr<std::unique_ptr<Matrix>> Pack(const float* weight,
                                                       int64_t out_dim,
                                                       int64_t in_dim) = 0;

  // As Ops::Linear, with checked arguments. Reads and writes up to
  // PadToRowBuckets(rows) rows (row_buckets.h).
  virtual absl::Status Run(const LinearArgs& args) = 0;

  // True if FindLargest takes this matrix.
  virtual bool CanFindLargest(const Matrix& weight) const {
    (void)weight;
    return false;
  }
  // The largest element of each row of input W^T, which is not stored.
  //   input: T [rows, in_dim]; largest: [rows]
  virtual void FindLargest(const TensorView& input, const Matrix& weight,
                           absl::Span<LargestLogit> largest) {
    (void)input, (void)weight, (void)largest;
  }
};

}  // namespace blockserve::cpu

#endif  // BLOCKSERVE_KERNELS_CPU_LINEAR_H_
