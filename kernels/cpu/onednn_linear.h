// Matrix products by oneDNN, on every CPU.
//
// A weight is packed once into the layout that oneDNN asks for. Products run as
// primitives, one per (weight shape, epilogue, row bucket; row_buckets.h):
// bias, activation and the sum with the output are fused into them. Making one
// takes about a millisecond, so the first product with a new (shape, epilogue)
// makes those of every bucket up to max_rows, and none is made from the second
// pass over a model on: num_primitives() is how tests know.
#ifndef BLOCKSERVE_KERNELS_CPU_ONEDNN_LINEAR_H_
#define BLOCKSERVE_KERNELS_CPU_ONEDNN_LINEAR_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/api/buffer.h"
#include "kernels/api/dtype.h"
#include "kernels/api/ops.h"
#include "kernels/cpu/linear.h"
#include "oneapi/dnnl/dnnl.hpp"

namespace blockserve::cpu {

class MatmulShape;
struct Epilogue;

class OneDnnLinear : public LinearEngine {
 public:
  // `dtype`: of inputs and packed weights. INVALID_ARGUMENT if oneDNN has no
  // matrix product of this type on this CPU.
  static absl::StatusOr<std::unique_ptr<OneDnnLinear>> Create(DType dtype,
                                                              int num_threads);
  ~OneDnnLinear() override;

  std::string_view name() const override { return "oneDNN"; }
  void set_max_rows(int64_t max_rows) override { max_rows_ = max_rows; }
  absl::StatusOr<std::unique_ptr<Matrix>> Pack(const float* weight,
                                               int64_t out_dim,
                                               int64_t in_dim) override;
  // INTERNAL if oneDNN fails.
  absl::Status Run(const LinearArgs& args) override;

  // Primitives made so far.
  int64_t num_primitives() const { return num_primitives_; }
  // oneDNN's names of the implementations they use.
  const std::set<std::string>& implementations() const {
    return implementations_;
  }

 private:
  OneDnnLinear(DType dtype, int num_threads);

  MatmulShape& ShapeOf(int64_t out_dim, int64_t in_dim);
  // Makes the primitives of `bucket` and of all buckets up to max_rows_.
  absl::Status MakePrimitives(MatmulShape& shape, const Epilogue& epilogue,
                              int bucket);

  const DType dtype_;
  const int num_threads_;
  dnnl::engine engine_;
  dnnl::stream stream_;
  Buffer scratch_;  // of the primitives, which run one after the other
  int64_t max_rows_ = 0;
  int64_t num_primitives_ = 0;
  std::set<std::string> implementations_;
  std::map<std::pair<int64_t, int64_t>, std::unique_ptr<MatmulShape>> shapes_;
};

}  // namespace blockserve::cpu

#endif  // BLOCKSERVE_KERNELS_CPU_ONEDNN_LINEAR_H_
