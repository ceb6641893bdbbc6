// Which ids top-k and top-p leave, without sorting: a threshold, found digit by
// digit. Included by .cu files.
#ifndef BLOCKSERVE_KERNELS_CUDA_KEPT_IDS_H_
#define BLOCKSERVE_KERNELS_CUDA_KEPT_IDS_H_

#include <cstdint>

#include "kernels/cuda/compat.h"
#include "kernels/cuda/reduce.h"

namespace blockserve::cuda {

// Grows with the value, NaN aside.
__device__ inline uint32_t OrderOf(float value) {
  // -0 and 0 are equal, and so must be their bits.
  const uint32_t bits = __float_as_uint(value + 0.0f);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

// The ids whose logits are above a threshold, and of those at the threshold the
// lowest: what a list sorted by logit and id begins with.
class KeptIds {
 public:
  __device__ bool Has(float logit, int32_t id) const {
    if (logit == -INFINITY) return false;
    const uint32_t order = OrderOf(logit);
    return order > order_ || (order == order_ && id <= last_id_);
  }

  // Keeps the shortest beginning of the list whose weights sum to `target`, or
  // all of it. Called by a whole CTA.
  //   weight_of(logit): uint64_t, the same for equal logits. Integers, so that
  //   the order in which threads add does not matter.
  template <typename WeightOf>
  __device__ void KeepFirst(const float* logits, int32_t vocab_size,
                            uint64_t target, const WeightOf& weight_of) {
    uint64_t sum = 0;
    for (int32_t id = static_cast<int32_t>(threadIdx.x); id < vocab_size;
         id += static_cast<int32_t>(blockDim.x)) {
      if (Has(logits[id], id)) sum += weight_of(logits[id]);
    }
    if (CtaSum(sum) <= target) return;
    uint32_t order = 0;
    for (int shift = 32 - kDigitBits; shift >= 0; shift -= kDigitBits) {
      order |= FindDigit(logits, vocab_size, order, shift, weight_of, &target)
               << shift;
    }
    // The rest of `target` are ids at the threshold, each of one weight.
    const int32_t last_id =
        FindLastId(logits, vocab_size, order, target, weight_of);
    order_ = order;
    last_id_ = last_id;
  }

 private:
  static constexpr int kDigitBits = 8;
  static constexpr int kDigits = 1 << kDigitBits;

  // The digit at `shift` of the threshold, whose higher ones are `order`'s.
  // Takes the weight of what is above it off `target`.
  template <typename WeightOf>
  __device__ uint32_t FindDigit(const float* logits, int32_t vocab_size,
                                uint32_t order, int shift,
                                const WeightOf& weight_of, uint64_t* target) {
    SHARED_ARRAY(unsigned long long, weights, kDigits);
    SHARED_ARRAY(unsigned long long, rest, 1);
    SHARED_ARRAY(uint32_t, digit, 1);
    for (int i = static_cast<int>(threadIdx.x); i < kDigits;
         i += static_cast<int>(blockDim.x)) {
      weights[i] = 0;
    }
    __syncthreads();
    const uint32_t higher =
        shift == 32 - kDigitBits ? 0u : ~0u << (shift + kDigitBits);
    for (int32_t id = static_cast<int32_t>(threadIdx.x); id < vocab_size;
         id += static_cast<int32_t>(blockDim.x)) {
      if (!Has(logits[id], id)) continue;
      const uint32_t own = OrderOf(logits[id]);
      if ((own & higher) != order) continue;
      atomicAdd(&weights[own >> shift & (kDigits - 1)],
                static_cast<unsigned long long>(weight_of(logits[id])));
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      uint64_t left = *target;
      int i = kDigits - 1;
      while (i > 0 && weights[i] < left) left -= weights[i--];
      *rest = left;
      *digit = static_cast<uint32_t>(i);
    }
    __syncthreads();
    *target = *rest;
    const uint32_t found = *digit;
    __syncthreads();  // before the next call writes
    return found;
  }

  // The last id at the threshold that `target` needs.
  template <typename WeightOf>
  __device__ int32_t FindLastId(const float* logits, int32_t vocab_size,
                                uint32_t order, uint64_t target,
                                const WeightOf& weight_of) {
    SHARED_ARRAY(int32_t, last_id, 1);
    SHARED_ARRAY(int, counts, kMaxWarps);
    uint64_t num_found = 0;
    for (int32_t base = 0; base < vocab_size;
         base += static_cast<int32_t>(blockDim.x)) {
      const int32_t id = base + static_cast<int32_t>(threadIdx.x);
      const float logit = id < vocab_size ? logits[id] : -INFINITY;
      const bool is_tied = Has(logit, id) && OrderOf(logit) == order;
      const unsigned tied = __ballot_sync(kAllLanes, is_tied);
      if (Lane() == 0) counts[WarpOfCta()] = __popc(tied);
      __syncthreads();
      uint64_t before = num_found + __popc(tied & ((1u << Lane()) - 1u));
      for (int warp = 0; warp < WarpsPerCta(); ++warp) {
        if (warp < WarpOfCta()) before += counts[warp];
        num_found += counts[warp];
      }
      // The first with which the weights reach the target.
      const bool is_last = is_tied &&
                           (before + 1) * weight_of(logit) >= target &&
                           before * weight_of(logit) < target;
      if (is_last) *last_id = id;
      if (__syncthreads_or(is_last)) return *last_id;
    }
    return vocab_size;  // not reached: the target was within their weight
  }

  uint32_t order_ = 0;
  int32_t last_id_ = 0x7fffffff;
};

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_KEPT_IDS_H_
