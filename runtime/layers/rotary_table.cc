#include "runtime/layers/rotary_table.h"

#include <cmath>
#include <vector>

#include "runtime/base/status_macros.h"

namespace blockserve {

absl::StatusOr<RotaryTable> RotaryTable::Create(int num_positions,
                                                int rotary_dim, float base,
                                                ScratchAllocator& scratch) {
  RotaryTable table;
  table.num_positions_ = num_positions;
  table.rotary_dim_ = rotary_dim;
  if (rotary_dim == 0) return table;

  const int half = rotary_dim / 2;
  std::vector<float> values(static_cast<size_t>(num_positions) * rotary_dim);
  for (int i = 0; i < half; ++i) {
    // Frequency and angle are rounded to fp32 as the models were trained: far
    // positions turn by angles whose rounding is visible.
    const float frequency = static_cast<float>(
        1.0 / std::pow(static_cast<double>(base), 2.0 * i / rotary_dim));
    for (int position = 0; position < num_positions; ++position) {
      const float angle = static_cast<float>(position) * frequency;
      float* row = values.data() + static_cast<size_t>(position) * rotary_dim;
      row[i] = static_cast<float>(std::cos(static_cast<double>(angle)));
      row[half + i] = static_cast<float>(std::sin(static_cast<double>(angle)));
    }
  }
  ASSIGN_OR_RETURN(table.data_, scratch.Upload(values));
  return table;
}

TensorView RotaryTable::view() const {
  if (rotary_dim_ == 0) return TensorView();
  return data_.View(DType::kFloat32, {num_positions_, rotary_dim_});
}

}  // namespace blockserve
