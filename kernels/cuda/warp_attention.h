// Attention of one query by one warp: keys and values go in 16 at a time, and
// out comes sum softmax(scores) value. Included by .cu files.
#ifndef BLOCKSERVE_KERNELS_CUDA_WARP_ATTENTION_H_
#define BLOCKSERVE_KERNELS_CUDA_WARP_ATTENTION_H_

#include <cstdint>

#include "kernels/cuda/compat.h"
#include "kernels/cuda/element.h"
#include "kernels/cuda/reduce.h"

namespace blockserve::cuda {

// Keys of one AddKeys: each has two lanes, which halve its inner product.
inline constexpr int kKeysPerGroup = 16;
inline constexpr int kLanesPerKey = 2;

// The largest head for `kDimsPerLane` is 32 times that.
inline constexpr int kMaxHeadDim = 512;

// A softmax that goes on: what is summed is scaled again whenever a larger
// score comes. All lanes hold the same maximum and sum of weights; lane l holds
// the weighted values of dims l, l + 32, ...
template <typename T, int kDimsPerLane>
class WarpAttention {
 public:
  // query: [head_dim] in shared memory
  __device__ WarpAttention(const float* query, int head_dim, float scale)
      : query_(query), head_dim_(head_dim), scale_(scale) {
    for (int i = 0; i < kDimsPerLane; ++i) sums_[i] = 0.0f;
  }

  // The key that this lane has a half of, within a group.
  __device__ static int KeyOfLane() { return Lane() / kLanesPerKey; }

  // keys, values: key k of the group is at keys + k * stride.
  // is_visible, bias: of KeyOfLane(); what is not visible is not read.
  __device__ void AddKeys(const T* keys, const T* values, int64_t stride,
                          bool is_visible, float bias) {
    const float half =
        is_visible ? HalfProduct(keys + KeyOfLane() * stride) : 0.0f;
    const float product = half + __shfl_xor_sync(kAllLanes, half, 1);
    const float score = is_visible ? product * scale_ + bias : -INFINITY;

    // A NaN among the scores does not reach the maximum, but its weight is one.
    const float max = fmaxf(max_, WarpMax(score));
    const float safe_max = max == -INFINITY ? 0.0f : max;
    const float weight = score == -INFINITY ? 0.0f : expf(score - safe_max);
    const float scale = max_ == -INFINITY ? 0.0f : expf(max_ - safe_max);
    max_ = max;
    weight_sum_ = weight_sum_ * scale + WarpSum(weight) / kLanesPerKey;
    for (int i = 0; i < kDimsPerLane; ++i) sums_[i] *= scale;

    unsigned visible = __ballot_sync(kAllLanes, score != -INFINITY);
    while (visible != 0) {
      const int lane = __ffs(static_cast<int>(visible)) - 1;
      visible &= ~(3u << lane);
      const float key_weight = __shfl_sync(kAllLanes, weight, lane);
      const T* const value = values + lane / kLanesPerKey * stride;
      for (int i = 0; i < kDimsPerLane; ++i) {
        const int dim = Lane() + i * kWarpSize;
        if (dim < head_dim_) sums_[i] += key_weight * ToFloat(value[dim]);
      }
    }
  }

  // Takes in what another warp has summed of other keys.
  //   sums: [head_dim]
  __device__ void Merge(float max, float weight_sum, const float* sums) {
    if (max == -INFINITY && weight_sum == 0.0f) return;
    const float larger = fmaxf(max_, max);
    const float safe = larger == -INFINITY ? 0.0f : larger;
    const float scale =
        max_ == -INFINITY ? Unscaled(weight_sum_) : expf(max_ - safe);
    const float other = max == -INFINITY ? 1.0f : expf(max - safe);
    max_ = larger;
    weight_sum_ = weight_sum_ * scale + weight_sum * other;
    for (int i = 0; i < kDimsPerLane; ++i) {
      const int dim = Lane() + i * kWarpSize;
      if (dim < head_dim_) sums_[i] = sums_[i] * scale + sums[dim] * other;
    }
  }

  // output: [head_dim]; zero if no key came.
  __device__ void Write(T* output) const {
    for (int i = 0; i < kDimsPerLane; ++i) {
      const int dim = Lane() + i * kWarpSize;
      if (dim >= head_dim_) continue;
      output[dim] =
          FromFloat<T>(weight_sum_ == 0.0f ? 0.0f : sums_[i] / weight_sum_);
    }
  }

  // sums: [head_dim]
  __device__ void WriteSums(float* sums) const {
    for (int i = 0; i < kDimsPerLane; ++i) {
      const int dim = Lane() + i * kWarpSize;
      if (dim < head_dim_) sums[dim] = sums_[i];
    }
  }
  __device__ float max() const { return max_; }
  __device__ float weight_sum() const { return weight_sum_; }

 private:
  // This lane's half of the inner product with a key. Four sums, for speed and
  // because shorter ones are exacter.
  __device__ float HalfProduct(const T* key) const {
    constexpr int kSums = 4;
    float sums[kSums] = {};
    int i = Lane() % kLanesPerKey;
    for (; i + (kSums - 1) * kLanesPerKey < head_dim_;
         i += kSums * kLanesPerKey) {
      for (int k = 0; k < kSums; ++k) {
        sums[k] +=
            query_[i + k * kLanesPerKey] * ToFloat(key[i + k * kLanesPerKey]);
      }
    }
    for (; i < head_dim_; i += kLanesPerKey) {
      sums[0] += query_[i] * ToFloat(key[i]);
    }
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }

  // Without a maximum there is nothing, or NaN, which must stay.
  __device__ static float Unscaled(float weight_sum) {
    return weight_sum == 0.0f ? 0.0f : 1.0f;
  }

  const float* query_;
  int head_dim_;
  float scale_;
  float max_ = -INFINITY;
  float weight_sum_ = 0.0f;
  float sums_[kDimsPerLane];
};

// Calls `launch` with the dims that each lane has of a head, a constant.
template <typename Launch>
cudaError_t WithDimsPerLane(int head_dim, const Launch& launch) {
  if (head_dim <= 32) return launch(std::integral_constant<int, 1>());
  if (head_dim <= 64) return launch(std::integral_constant<int, 2>());
  if (head_dim <= 128) return launch(std::integral_constant<int, 4>());
  if (head_dim <= 256) return launch(std::integral_constant<int, 8>());
  if (head_dim <= kMaxHeadDim) return launch(std::integral_constant<int, 16>());
  return cudaErrorInvalidValue;
}

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_WARP_ATTENTION_H_
