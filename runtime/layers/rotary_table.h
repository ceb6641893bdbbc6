// Cosines and sines of the rotary position embedding (FORMAT.md 5.1).
#ifndef BLOCKSERVE_RUNTIME_LAYERS_ROTARY_TABLE_H_
#define BLOCKSERVE_RUNTIME_LAYERS_ROTARY_TABLE_H_

#include "absl/status/statusor.h"
#include "kernels/api/buffer.h"
#include "kernels/api/tensor_view.h"
#include "runtime/layers/scratch_allocator.h"

namespace blockserve {

// Immutable.
class RotaryTable {
 public:
  // No rotation: an empty view.
  RotaryTable() = default;

  // `rotary_dim` 0: no rotation.
  static absl::StatusOr<RotaryTable> Create(int num_positions, int rotary_dim,
                                            float base,
                                            ScratchAllocator& scratch);

  // float [num_positions, rotary_dim]: cosines, then sines.
  TensorView view() const;

 private:
  Buffer data_;
  int num_positions_ = 0;
  int rotary_dim_ = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_LAYERS_ROTARY_TABLE_H_
