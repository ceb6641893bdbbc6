#include "kernels/cuda/compat.h"
#include "kernels/cuda/element.h"
#include "kernels/cuda/page.h"
#include "kernels/cuda/paged_attention.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/sequence_of_row.h"
#include "kernels/cuda/warp_attention.h"

namespace blockserve::cuda {
namespace {

static_assert(kKeysPerPage == kKeysPerGroup);

// Warps of a CTA take the pages of a row in turn.
constexpr int kMaxWarpsPerRow = 4;

// Shared memory: the query, then what each warp but the first has summed.
__device__ float* PartOfWarp(float* shared, int warp, int head_dim) {
  return shared + head_dim + (warp - 1) * (head_dim + 2);
}

// One CTA for each row and head; its warps share the keys and are merged.
template <typename T, int kDimsPerLane>
__global__ void __launch_bounds__(kMaxWarpsPerRow* kWarpSize, 1)
    PagedAttentionKernel(PagedAttentionProblem problem) {
  DYNAMIC_SHARED(float, shared);
  const int row = static_cast<int>(blockIdx.x);
  const int head = static_cast<int>(blockIdx.y);
  const int head_dim = problem.head_dim;
  const int64_t vector = static_cast<int64_t>(row) * problem.num_heads + head;
  const T* const query =
      static_cast<const T*>(problem.qkv) + vector * 3 * head_dim;
  for (int i = static_cast<int>(threadIdx.x); i < head_dim;
       i += static_cast<int>(blockDim.x)) {
    shared[i] = ToFloat(query[i]);
  }
  __syncthreads();

  const int begin = problem.key_begin[row];
  const int end = problem.key_end[row];
  const int sequence =
      SequenceOf(problem.query_offsets, problem.num_sequences, row);
  const int32_t* const pages =
      problem.page_table + static_cast<int64_t>(sequence) * problem.max_pages;
  using Attention = WarpAttention<T, kDimsPerLane>;
  Attention attention(shared, head_dim, problem.scale);
  for (int page = begin / kKeysPerPage + WarpOfCta();
       begin < end && page * kKeysPerPage < end; page += WarpsPerCta()) {
    const int key = page * kKeysPerPage + Attention::KeyOfLane();
    const PageOfHead<T> memory(problem.cache, pages[page], problem.num_heads,
                               head, head_dim);
    attention.AddKeys(memory.keys(), memory.values(), head_dim,
                      key >= begin && key < end, 0.0f);
  }

  if (WarpOfCta() > 0) {
    float* const part = PartOfWarp(shared, WarpOfCta(), head_dim);
    attention.WriteSums(part);
    if (Lane() == 0) {
      part[head_dim] = attention.max();
      part[head_dim + 1] = attention.weight_sum();
    }
  }
  __syncthreads();
  if (WarpOfCta() > 0) return;
  for (int warp = 1; warp < WarpsPerCta(); ++warp) {
    const float* const part = PartOfWarp(shared, warp, head_dim);
    attention.Merge(part[head_dim], part[head_dim + 1], part);
  }
  attention.Write(static_cast<T*>(problem.output) + vector * head_dim);
}

}  // namespace

cudaError_t LaunchPagedAttention(const PagedAttentionProblem& problem,
                                 DType dtype, cudaStream_t stream) {
  if (problem.num_rows == 0 || problem.num_heads == 0) return cudaSuccess;
  const int warps = problem.max_pages < 1                 ? 1
                    : problem.max_pages < kMaxWarpsPerRow ? problem.max_pages
                                                          : kMaxWarpsPerRow;
  LaunchConfig config;
  config.name = "paged_attention";
  config.grid = dim3(static_cast<unsigned>(problem.num_rows),
                     static_cast<unsigned>(problem.num_heads));
  config.cta = dim3(static_cast<unsigned>(warps * kWarpSize));
  config.dynamic_shared_bytes =
      sizeof(float) * (problem.head_dim + (warps - 1) * (problem.head_dim + 2));
  config.stream = stream;
  return WithElement(dtype, [&](auto element) {
    return WithDimsPerLane(problem.head_dim, [&](auto dims) {
      return LaunchKernel(
          PagedAttentionKernel<decltype(element), decltype(dims)::value>,
          config, problem);
    });
  });
}

}  // namespace blockserve::cuda
