// The intermediate tensors of a transformer layer.
#ifndef BLOCKSERVE_RUNTIME_LAYERS_ACTIVATIONS_H_
#define BLOCKSERVE_RUNTIME_LAYERS_ACTIVATIONS_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/api/buffer.h"
#include "kernels/api/tensor_view.h"
#include "runtime/layers/scratch_allocator.h"

namespace blockserve {

// The largest extents a trunk runs with.
struct ActivationLimits {
  int64_t rows = 0;
  int64_t hidden_dim = 0;
  int64_t attention_dim = 0;  // num_heads * head_dim
  int64_t ffn_dim = 0;
};

// One set of buffers for all trunks of a model, which run one after the other.
// Allocated once, with room for the rows that a backend may compute beyond the
// last (Ops::PaddedRows). Nothing in here outlives a layer.
class Activations {
 public:
  // Large enough for each of `limits`.
  static absl::StatusOr<std::unique_ptr<Activations>> Create(
      absl::Span<const ActivationLimits> limits, ScratchAllocator& scratch);

  // T [rows, dim]
  TensorView normed(int64_t rows, int64_t dim) const {
    return normed_.View(dtype_, {rows, dim});
  }
  TensorView normed_ffn(int64_t rows, int64_t dim) const {
    return normed_ffn_.View(dtype_, {rows, dim});
  }
  TensorView qkv(int64_t rows, int64_t dim) const {
    return qkv_.View(dtype_, {rows, dim});
  }
  TensorView attention(int64_t rows, int64_t dim) const {
    return attention_.View(dtype_, {rows, dim});
  }
  TensorView ffn(int64_t rows, int64_t dim) const {
    return ffn_.View(dtype_, {rows, dim});
  }
  // T [rows, dim], up to 3 * attention_dim wide: what an attention gathers on
  // the way from all rows to those whose outputs are wanted.
  TensorView gathered(int64_t rows, int64_t dim) const {
    return gathered_.View(dtype_, {rows, dim});
  }
  // float [rows, dim]: the residual stream of those rows.
  TensorView gathered_residual(int64_t rows, int64_t dim) const {
    return gathered_residual_.View(DType::kFloat32, {rows, dim});
  }

 private:
  Activations() = default;

  DType dtype_ = DType::kFloat32;
  Buffer normed_;
  Buffer normed_ffn_;
  Buffer qkv_;
  Buffer attention_;
  Buffer ffn_;
  Buffer gathered_;
  Buffer gathered_residual_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_LAYERS_ACTIVATIONS_H_
