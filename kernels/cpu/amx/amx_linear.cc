#include "kernels/cpu/amx/amx_linear.h"

#include <omp.h>

#include "kernels/cpu/amx/panel_matrix.h"
#include "kernels/cpu/amx/panel_product.h"
#include "kernels/cpu/amx/tiles.h"
#include "kernels/cpu/parallel_for.h"

namespace blockserve::cpu {
namespace {

using amx::PanelMatrix;
using amx::PanelProduct;
using amx::ProductPart;

// Into how many parts rows are cut for a team of threads. Threads share panels
// out, so that each is read by one of them; rows too only where there are too
// few panels and many rows.
int64_t NumRowParts(int64_t num_rows, int64_t num_panels, int64_t team) {
  constexpr int64_t kMinPanels = 4;
  constexpr int64_t kMinRows = 64;
  int64_t parts = 1;
  while (team % (2 * parts) == 0 && num_panels * parts < kMinPanels * team &&
         num_rows >= 2 * parts * kMinRows) {
    parts *= 2;
  }
  return parts;
}

ProductPart PartOf(int64_t num_rows, int64_t num_panels, int64_t thread,
                   int64_t team) {
  const int64_t row_parts = NumRowParts(num_rows, num_panels, team);
  const int64_t panel_parts = team / row_parts;
  const int64_t i = thread / panel_parts;
  const int64_t k = thread % panel_parts;
  return {.row_begin = num_rows * i / row_parts,
          .row_end = num_rows * (i + 1) / row_parts,
          .panel_begin = num_panels * k / panel_parts,
          .panel_end = num_panels * (k + 1) / panel_parts};
}

// body(part, thread) over parts that cover a product, one a thread.
template <typename Body>
void ForEachPart(int num_threads, int64_t num_rows, const PanelMatrix& weight,
                 const Body& body) {
  const int64_t num_panels = weight.num_panels();
  if (RunsAlone(num_threads, num_panels, num_rows * weight.panel_elements())) {
    body(PartOf(num_rows, num_panels, 0, 1), 0);
    return;
  }
#pragma omp parallel num_threads(num_threads)
  {
    const int thread = omp_get_thread_num();
    body(PartOf(num_rows, num_panels, thread, omp_get_num_threads()), thread);
  }
}

}  // namespace

bool AmxLinear::IsSupported() { return amx::HasTiles(); }

void AmxLinear::set_max_rows(int64_t max_rows) {
  fallback_->set_max_rows(max_rows);
  largest_.reserve(num_threads_ * max_rows);
}

absl::StatusOr<std::unique_ptr<Matrix>> AmxLinear::Pack(const float* weight,
                                                        int64_t out_dim,
                                                        int64_t in_dim) {
  if (!PanelMatrix::CanPack(in_dim)) {
    return fallback_->Pack(weight, out_dim, in_dim);
  }
  return PanelMatrix::Pack(weight, out_dim, in_dim, num_threads_);
}

absl::Status AmxLinear::Run(const LinearArgs& args) {
  const auto* weight = dynamic_cast<const PanelMatrix*>(args.weight);
  if (weight == nullptr) return fallback_->Run(args);
  const PanelProduct product = {
      .input = args.input.as<BFloat16>(),
      .weight = weight,
      .bias = args.bias.empty() ? nullptr : args.bias.as<float>(),
      .activation = args.activation,
      .accumulate = args.accumulate,
      .float_output = args.output.dtype() == DType::kFloat32,
      .output = args.output.data()};
  ForEachPart(
      num_threads_, args.input.dim(0), *weight,
      [&](const ProductPart& part, int) { MultiplyPart(product, part); });
  return absl::OkStatus();
}

bool AmxLinear::CanFindLargest(const Matrix& weight) const {
  return dynamic_cast<const PanelMatrix*>(&weight) != nullptr;
}

void AmxLinear::FindLargest(const TensorView& input, const Matrix& weight,
                            absl::Span<LargestLogit> largest) {
  const auto& panels = dynamic_cast<const PanelMatrix&>(weight);
  const PanelProduct product = {.input = input.as<BFloat16>(),
                                .weight = &panels};
  const int64_t num_rows = input.dim(0);
  largest_.assign(num_threads_ * num_rows, LargestLogit());
  ForEachPart(
      num_threads_, num_rows, panels, [&](const ProductPart& part, int thread) {
        FindLargestInPart(product, part, largest_.data() + thread * num_rows);
      });
  for (int64_t row = 0; row < num_rows; ++row) {
    largest[row] = LargestLogit();
    for (int thread = 0; thread < num_threads_; ++thread) {
      largest[row] = Merge(largest[row], largest_[thread * num_rows + row]);
    }
  }
}

}  // namespace blockserve::cpu
