#include "kernels/cpu/amx/panel_matrix.h"

#include <algorithm>

#include "kernels/cpu/memory.h"
#include "kernels/cpu/parallel_for.h"
#include "runtime/base/status_macros.h"

namespace blockserve::cpu::amx {
namespace {

// One column: `weights` are the weights of one output.
void PackColumn(const float* weights, int64_t in_dim, int64_t column,
                BFloat16* panel) {
  BFloat16* to =
      panel + column / kTileColumns * kTileElements + column % kTileColumns * 2;
  for (int64_t begin = 0; begin < in_dim; begin += kTileDepth) {
    for (int pair = 0; pair < kTileHeight; ++pair) {
      const float* from = weights + begin + 2 * pair;
      to[pair * 2 * kTileColumns] = ToBFloat16(from[0]);
      to[pair * 2 * kTileColumns + 1] = ToBFloat16(from[1]);
    }
    to += kStepElements;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<PanelMatrix>> PanelMatrix::Pack(
    const float* weight, int64_t out_dim, int64_t in_dim, int num_threads) {
  const int64_t num_panels = (out_dim + kPanelColumns - 1) / kPanelColumns;
  ASSIGN_OR_RETURN(Buffer buffer, AllocateMemory(num_panels * kPanelColumns *
                                                 in_dim * sizeof(BFloat16)));
  auto* const panels = static_cast<BFloat16*>(buffer.data());
  ParallelFor(num_threads, num_panels, in_dim * kPanelColumns,
              [&](int64_t begin, int64_t end) {
                const int64_t column_end =
                    std::min(end * kPanelColumns, out_dim);
                for (int64_t i = begin * kPanelColumns; i < column_end; ++i) {
                  const int64_t panel = i / kPanelColumns;
                  PackColumn(weight + i * in_dim, in_dim, i % kPanelColumns,
                             panels + panel * kPanelColumns * in_dim);
                }
              });
  return std::unique_ptr<PanelMatrix>(
      new PanelMatrix(out_dim, in_dim, std::move(buffer)));
}

}  // namespace blockserve::cpu::amx
