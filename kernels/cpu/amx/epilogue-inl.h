// What happens to the sums of a product before they are stored.
#ifndef BLOCKSERVE_KERNELS_CPU_AMX_EPILOGUE_INL_H_
#define BLOCKSERVE_KERNELS_CPU_AMX_EPILOGUE_INL_H_

#include <algorithm>
#include <cstdint>

#include "kernels/api/dtype.h"
#include "kernels/cpu/amx/activation-inl.h"
#include "kernels/cpu/amx/normal_tail.h"
#include "kernels/cpu/amx/panel_matrix.h"
#include "kernels/cpu/amx/target.h"

AMX_TARGET_BEGIN
namespace blockserve::cpu::amx {

// One row of a panel.
struct PanelRow {
  __m512 low;   // columns 0-15
  __m512 high;  // columns 16-31
};

// The columns of a panel that the matrix has: the last panel may end early.
struct PanelMask {
  explicit PanelMask(int64_t num_columns)
      : all(num_columns >= kPanelColumns ? ~uint32_t{0}
                                         : (uint32_t{1} << num_columns) - 1) {}

  __mmask16 low() const { return static_cast<__mmask16>(all); }
  __mmask16 high() const { return static_cast<__mmask16>(all >> 16); }

  uint32_t all;
};

// Stores activation(sums + bias), or adds it to what is there.
template <Activation kActivation, typename Output, bool kAccumulate>
class StoreEpilogue {
 public:
  // `bias` may be null. `output`: [rows, out_dim].
  StoreEpilogue(const float* bias, void* output, int64_t out_dim)
      : bias_(bias),
        output_(static_cast<Output*>(output)),
        out_dim_(out_dim),
        tail_(NormalTail::Get()) {}

  void Apply(PanelRow sums, int64_t row, int64_t panel) const {
    const int64_t column = panel * kPanelColumns;
    const PanelMask mask(out_dim_ - column);
    if (bias_ != nullptr) {
      sums = Add(sums, LoadFloats(bias_ + column, mask));
    }
    sums.low = Activate<kActivation>(sums.low, tail_);
    sums.high = Activate<kActivation>(sums.high, tail_);
    Output* output = output_ + row * out_dim_ + column;
    if constexpr (kAccumulate) sums = Add(LoadFloats(output, mask), sums);
    Store(sums, mask, output);
  }

 private:
  static PanelRow Add(PanelRow a, PanelRow b) {
    return {_mm512_add_ps(a.low, b.low), _mm512_add_ps(a.high, b.high)};
  }
  static PanelRow LoadFloats(const float* from, PanelMask mask) {
    return {_mm512_maskz_loadu_ps(mask.low(), from),
            _mm512_maskz_loadu_ps(mask.high(), from + kTileColumns)};
  }
  static void Store(PanelRow row, PanelMask mask, float* to) {
    _mm512_mask_storeu_ps(to, mask.low(), row.low);
    _mm512_mask_storeu_ps(to + kTileColumns, mask.high(), row.high);
  }
  static void Store(PanelRow row, PanelMask mask, BFloat16* to) {
    const __m512bh both = _mm512_cvtne2ps_pbh(row.high, row.low);
    _mm512_mask_storeu_epi16(to, mask.all, (__m512i)both);
  }

  const float* const bias_;
  Output* const output_;
  const int64_t out_dim_;
  const NormalTail& tail_;
};

}  // namespace blockserve::cpu::amx
AMX_TARGET_END

#endif  // BLOCKSERVE_KERNELS_CPU_AMX_EPILOGUE_INL_H_
