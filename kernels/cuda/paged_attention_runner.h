// Attention over the paged cache by whichever kernel suits its shape.
#ifndef BLOCKSERVE_KERNELS_CUDA_PAGED_ATTENTION_RUNNER_H_
#define BLOCKSERVE_KERNELS_CUDA_PAGED_ATTENTION_RUNNER_H_

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/api/buffer.h"
#include "kernels/api/dtype.h"
#include "kernels/cuda/paged_attention.h"

namespace blockserve::cuda {

// Rows of one sequence share its keys on tensor cores; few rows share the
// device by splitting their keys. Which kernel runs depends on numbers of rows,
// sequences and pages alone, all known to the host. Used by one thread, on one
// stream.
class PagedAttentionRunner {
 public:
  // For the current device, of `num_multiprocessors`.
  static absl::StatusOr<std::unique_ptr<PagedAttentionRunner>> Create(
      int num_multiprocessors, cudaStream_t stream);

  absl::Status Run(const PagedAttentionProblem& problem, DType dtype,
                   cudaStream_t stream);

 private:
  PagedAttentionRunner(int64_t max_ctas, Buffer parts, Buffer tickets)
      : max_ctas_(max_ctas),
        parts_(std::move(parts)),
        tickets_(std::move(tickets)) {}

  int SplitsFor(const PagedAttentionProblem& problem) const;

  int64_t max_ctas_;  // of a split problem
  Buffer parts_;
  Buffer tickets_;
};

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_PAGED_ATTENTION_RUNNER_H_
