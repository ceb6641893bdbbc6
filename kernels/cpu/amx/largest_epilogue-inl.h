// Greedy choice as the epilogue of the head's product: logits are compared
// where they are made and never stored. Writing and reading them again costs
// half of the head's time at 256 rows.
#ifndef BLOCKSERVE_KERNELS_CPU_AMX_LARGEST_EPILOGUE_INL_H_
#define BLOCKSERVE_KERNELS_CPU_AMX_LARGEST_EPILOGUE_INL_H_

#include <bit>
#include <cstdint>
#include <limits>

#include "kernels/cpu/amx/epilogue-inl.h"
#include "kernels/cpu/amx/panel_matrix.h"
#include "kernels/cpu/amx/target.h"
#include "kernels/cpu/largest_logit.h"

AMX_TARGET_BEGIN
namespace blockserve::cpu::amx {

class LargestEpilogue {
 public:
  // `largest`: [rows], updated.
  LargestEpilogue(int64_t num_columns, LargestLogit* largest)
      : num_columns_(num_columns), largest_(largest) {}

  void Apply(const PanelRow& logits, int64_t row, int64_t panel) const {
    const PanelMask mask(num_columns_ - panel * kPanelColumns);
    LargestLogit& largest = largest_[row];
    const __m512 best = _mm512_set1_ps(largest.logit);
    // Not less: equal ones for ties, as panels come in any order, and NaN.
    const unsigned low =
        _mm512_mask_cmp_ps_mask(mask.low(), logits.low, best, _CMP_NLT_UQ);
    const unsigned high =
        _mm512_mask_cmp_ps_mask(mask.high(), logits.high, best, _CMP_NLT_UQ);
    if (__builtin_expect((low | high) == 0, 1)) return;
    Consider(logits, low | high << kTileColumns, panel * kPanelColumns,
             largest);
  }

 private:
  // Rare: a row's n-th panel holds a new largest logit with probability 1 / n.
  __attribute__((noinline)) static void Consider(const PanelRow& logits,
                                                 uint32_t candidates,
                                                 int64_t first_id,
                                                 LargestLogit& largest) {
    alignas(64) float values[kPanelColumns];
    _mm512_store_ps(values, logits.low);
    _mm512_store_ps(values + kTileColumns, logits.high);
    for (; candidates != 0; candidates &= candidates - 1) {
      const int i = std::countr_zero(candidates);
      constexpr float kInfinity = std::numeric_limits<float>::infinity();
      if (!(values[i] < kInfinity)) largest.valid = false;
      if (!(values[i] > -kInfinity)) continue;
      const auto id = static_cast<int32_t>(first_id + i);
      largest = Merge(largest,
                      {.logit = values[i], .id = id, .valid = largest.valid});
    }
  }

  const int64_t num_columns_;
  LargestLogit* const largest_;
};

}  // namespace blockserve::cpu::amx
AMX_TARGET_END

#endif  // BLOCKSERVE_KERNELS_CPU_AMX_LARGEST_EPILOGUE_INL_H_
