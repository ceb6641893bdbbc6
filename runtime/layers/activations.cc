#include "runtime/layers/activations.h"

#include <algorithm>

#include "runtime/base/status_macros.h"

namespace blockserve {

absl::StatusOr<std::unique_ptr<Activations>> Activations::Create(
    absl::Span<const ActivationLimits> limits, ScratchAllocator& scratch) {
  const Ops& ops = scratch.ops();
  int64_t hidden = 0;     // elements of [rows, hidden_dim]
  int64_t attention = 0;  // of [rows, attention_dim]
  int64_t ffn = 0;        // of [rows, ffn_dim]
  for (const ActivationLimits& limit : limits) {
    const int64_t rows = ops.PaddedRows(limit.rows);
    hidden = std::max(hidden, rows * limit.hidden_dim);
    attention = std::max(attention, rows * limit.attention_dim);
    ffn = std::max(ffn, rows * limit.ffn_dim);
  }
  const size_t element_size = SizeOf(ops.dtype());
  std::unique_ptr<Activations> activations(new Activations());
  activations->dtype_ = ops.dtype();
  ASSIGN_OR_RETURN(activations->normed_,
                   scratch.Allocate(hidden * element_size));
  ASSIGN_OR_RETURN(activations->normed_ffn_,
                   scratch.Allocate(hidden * element_size));
  ASSIGN_OR_RETURN(activations->qkv_,
                   scratch.Allocate(3 * attention * element_size));
  ASSIGN_OR_RETURN(activations->attention_,
                   scratch.Allocate(attention * element_size));
  ASSIGN_OR_RETURN(activations->ffn_, scratch.Allocate(ffn * element_size));
  ASSIGN_OR_RETURN(activations->gathered_,
                   scratch.Allocate(3 * attention * element_size));
  ASSIGN_OR_RETURN(activations->gathered_residual_,
                   scratch.Allocate(hidden * sizeof(float)));
  return activations;
}

}  // namespace blockserve
