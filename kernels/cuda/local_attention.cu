#include "kernels/cuda/compat.h"
#include "kernels/cuda/element.h"
#include "kernels/cuda/local_attention.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/rotary.h"
#include "kernels/cuda/warp_attention.h"

namespace blockserve::cuda {
namespace {

// Warps have nothing to do with each other here; several make a CTA only so
// that a multiprocessor, which holds few CTAs, has enough of them.
constexpr int kWarpsPerCta = 4;

// The warp of the whole grid.
__device__ int64_t GlobalWarp() {
  return static_cast<int64_t>(blockIdx.x) * WarpsPerCta() + WarpOfCta();
}

// One row and head of a LocalAttentionProblem, a warp's work.
template <typename T>
class LocalHead {
 public:
  __device__ LocalHead(const LocalAttentionProblem& problem, int64_t row,
                       int head)
      : problem_(problem), row_(row), head_(head) {
    const int64_t heads = problem.num_heads;
    if (problem.cache == nullptr) {
      keys_ = NewVector(0, 1);
      values_ = NewVector(0, 2);
      stride_ = heads * 3 * problem.head_dim;
    } else {
      const int64_t part =
          static_cast<int64_t>(problem.max_length) * problem.head_dim;
      keys_ = static_cast<T*>(problem.cache) + (row * 2 * heads + head) * part;
      values_ = keys_ + heads * part;
      stride_ = problem.head_dim;
    }
  }

  // Of position k: at k * stride().
  __device__ const T* keys() const { return keys_; }
  __device__ const T* values() const { return values_; }
  __device__ int64_t stride() const { return stride_; }

  // part: 0 query, 1 key, 2 value of new position i.
  __device__ T* NewVector(int i, int part) const {
    const int64_t vector =
        ((row_ * problem_.num_queries + i) * problem_.num_heads + head_) * 3 +
        part;
    return static_cast<T*>(problem_.qkv) + vector * problem_.head_dim;
  }

  // Turns the new queries in place and puts the turned keys and the values
  // where attention reads them.
  __device__ void Append() const {
    const int rotary_dim = problem_.rotary_dim;
    const int pairs = RotaryPair<T>::CountOf(problem_.head_dim, rotary_dim);
    for (int i = 0; i < problem_.num_queries; ++i) {
      const float* const rotary_row =
          rotary_dim == 0
              ? nullptr
              : problem_.rotary +
                    static_cast<int64_t>(problem_.positions[i]) * rotary_dim;
      const int64_t offset = (problem_.past_length + i) * stride_;
      for (int k = Lane(); k < pairs; k += kWarpSize) {
        RotaryPair<T> pair(k, rotary_dim);
        pair.Load(NewVector(i, 0), rotary_row);
        pair.Store(NewVector(i, 0));
        pair.Load(NewVector(i, 1), rotary_row);
        pair.Store(keys_ + offset);
        pair.Copy(NewVector(i, 2));
        pair.Store(values_ + offset);
      }
    }
  }

  // The positions that the one at `position` may see are [begin, end).
  __device__ int BeginFor(int position) const {
    if (problem_.window <= 0 || position < problem_.window) return 0;
    return position - problem_.window + 1;
  }
  __device__ int EndFor(int position) const {
    return problem_.is_causal ? position + 1
                              : problem_.past_length + problem_.num_queries;
  }
  __device__ bool IsMasked(int key) const {
    return problem_.key_mask != nullptr &&
           problem_.key_mask[row_ * problem_.max_length + key] == 0;
  }
  __device__ float Bias(int position, int key) const {
    if (problem_.bias == nullptr) return 0.0f;
    return problem_
        .bias[(static_cast<int64_t>(head_) * problem_.max_length + position) *
                  problem_.max_length +
              key];
  }
  __device__ T* output(int i) const {
    const int64_t vector =
        (row_ * problem_.num_queries + i) * problem_.num_heads + head_;
    return static_cast<T*>(problem_.output) + vector * problem_.head_dim;
  }

 private:
  const LocalAttentionProblem& problem_;
  int64_t row_;
  int head_;
  T* keys_;
  T* values_;
  int64_t stride_;
};

// Shared memory: [head_dim] for each warp.
template <typename T>
__device__ void LoadQuery(const T* query, int head_dim, float* shared) {
  __syncwarp();  // other lanes may still read the query before
  for (int i = Lane(); i < head_dim; i += kWarpSize) {
    shared[i] = ToFloat(query[i]);
  }
  __syncwarp();
}

// One warp for each row and head.
template <typename T, int kDimsPerLane>
__global__ void __launch_bounds__(kWarpsPerCta* kWarpSize, 1)
    LocalAttentionKernel(LocalAttentionProblem problem) {
  DYNAMIC_SHARED(float, shared);
  if (GlobalWarp() >= problem.num_rows * problem.num_heads) return;
  const int head_dim = problem.head_dim;
  float* const query = shared + WarpOfCta() * head_dim;
  const LocalHead<T> head(problem, GlobalWarp() / problem.num_heads,
                          static_cast<int>(GlobalWarp() % problem.num_heads));
  head.Append();
  using Attention = WarpAttention<T, kDimsPerLane>;
  for (int i = 0; i < problem.num_queries; ++i) {
    // Its barriers also order what Append wrote.
    LoadQuery(head.NewVector(i, 0), head_dim, query);
    Attention attention(query, head_dim, problem.scale);
    const int position = problem.past_length + i;
    const int begin = head.BeginFor(position);
    const int end = head.EndFor(position);
    for (int group = begin / kKeysPerGroup * kKeysPerGroup; group < end;
         group += kKeysPerGroup) {
      const int key = group + Attention::KeyOfLane();
      const bool is_visible = key >= begin && key < end && !head.IsMasked(key);
      attention.AddKeys(head.keys() + group * head.stride(),
                        head.values() + group * head.stride(), head.stride(),
                        is_visible,
                        is_visible ? head.Bias(position, key) : 0.0f);
    }
    attention.Write(head.output(i));
  }
}

// One warp for each position and head.
template <typename T, int kDimsPerLane>
__global__ void __launch_bounds__(kWarpsPerCta* kWarpSize, 1)
    CrossAttentionKernel(CrossAttentionProblem problem) {
  DYNAMIC_SHARED(float, shared);
  if (GlobalWarp() >= problem.num_positions * problem.num_heads) return;
  const int head_dim = problem.head_dim;
  float* const query = shared + WarpOfCta() * head_dim;
  const int64_t position = GlobalWarp() / problem.num_heads;
  const int64_t head = GlobalWarp() % problem.num_heads;
  LoadQuery(static_cast<const T*>(problem.query) + GlobalWarp() * head_dim,
            head_dim, query);
  const int64_t row = position / problem.num_queries;
  const int64_t stride = static_cast<int64_t>(problem.num_heads) * 2 * head_dim;
  const T* const keys = static_cast<const T*>(problem.memory) +
                        row * problem.memory_length * stride +
                        head * 2 * head_dim;
  using Attention = WarpAttention<T, kDimsPerLane>;
  Attention attention(query, head_dim, problem.scale);
  for (int group = 0; group < problem.memory_length; group += kKeysPerGroup) {
    const int key = group + Attention::KeyOfLane();
    const T* const group_keys = keys + group * stride;
    attention.AddKeys(group_keys, group_keys + head_dim, stride,
                      key < problem.memory_length, 0.0f);
  }
  attention.Write(static_cast<T*>(problem.output) + GlobalWarp() * head_dim);
}

LaunchConfig ConfigFor(const char* name, int64_t num_warps, int head_dim,
                       cudaStream_t stream) {
  LaunchConfig config;
  const unsigned threads =
      ThreadsFor(num_warps * kWarpSize, kWarpsPerCta * kWarpSize);
  config.name = name;
  config.grid = dim3(CtasFor(num_warps * kWarpSize, threads));
  config.cta = dim3(threads);
  config.dynamic_shared_bytes = sizeof(float) * head_dim * threads / kWarpSize;
  config.stream = stream;
  return config;
}

}  // namespace

cudaError_t LaunchLocalAttention(const LocalAttentionProblem& problem,
                                 DType dtype, cudaStream_t stream) {
  const int64_t num_warps = problem.num_rows * problem.num_heads;
  if (num_warps == 0) return cudaSuccess;
  const LaunchConfig config =
      ConfigFor("local_attention", num_warps, problem.head_dim, stream);
  return WithElement(dtype, [&](auto element) {
    return WithDimsPerLane(problem.head_dim, [&](auto dims) {
      return LaunchKernel(
          LocalAttentionKernel<decltype(element), decltype(dims)::value>,
          config, problem);
    });
  });
}

cudaError_t LaunchCrossAttention(const CrossAttentionProblem& problem,
                                 DType dtype, cudaStream_t stream) {
  const int64_t num_warps = problem.num_positions * problem.num_heads;
  if (num_warps == 0) return cudaSuccess;
  const LaunchConfig config =
      ConfigFor("cross_attention", num_warps, problem.head_dim, stream);
  return WithElement(dtype, [&](auto element) {
    return WithDimsPerLane(problem.head_dim, [&](auto dims) {
      return LaunchKernel(
          CrossAttentionKernel<decltype(element), decltype(dims)::value>,
          config, problem);
    });
  });
}

}  // namespace blockserve::cuda
