// Matrix products by our own tile kernels: bf16, on CPUs with AMX.
//
// Weights come from memory in every step, and where they do, oneDNN's products
// lose 25-50 % (it does not prefetch them). The bits of a row's result do not
// depend on the rows beside it, nor on threads; oneDNN's do.
#ifndef BLOCKSERVE_KERNELS_CPU_AMX_AMX_LINEAR_H_
#define BLOCKSERVE_KERNELS_CPU_AMX_AMX_LINEAR_H_

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/api/ops.h"
#include "kernels/cpu/largest_logit.h"
#include "kernels/cpu/linear.h"

namespace blockserve::cpu {

class AmxLinear : public LinearEngine {
 public:
  // True if this CPU has the tiles and may use them.
  static bool IsSupported();

  // `fallback` takes matrices whose in_dim is no multiple of 32. Of it too, no
  // matrix may outlive us. Needs IsSupported().
  AmxLinear(int num_threads, std::unique_ptr<LinearEngine> fallback)
      : num_threads_(num_threads), fallback_(std::move(fallback)) {}

  std::string_view name() const override { return "AMX tiles"; }
  void set_max_rows(int64_t max_rows) override;
  absl::StatusOr<std::unique_ptr<Matrix>> Pack(const float* weight,
                                               int64_t out_dim,
                                               int64_t in_dim) override;
  absl::Status Run(const LinearArgs& args) override;
  bool CanFindLargest(const Matrix& weight) const override;
  void FindLargest(const TensorView& input, const Matrix& weight,
                   absl::Span<LargestLogit> largest) override;

 private:
  const int num_threads_;
  const std::unique_ptr<LinearEngine> fallback_;
  std::vector<LargestLogit> largest_;  // [num_threads_, rows]
};

}  // namespace blockserve::cpu

#endif  // BLOCKSERVE_KERNELS_CPU_AMX_AMX_LINEAR_H_
