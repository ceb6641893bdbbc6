#include "kernels/cuda/compat.h"
#include "kernels/cuda/element.h"
#include "kernels/cuda/page.h"
#include "kernels/cuda/rotary.h"
#include "kernels/cuda/rotary_store_kv.h"

namespace blockserve::cuda {
namespace {

constexpr unsigned kMaxThreads = 256;

// One thread for each pair of elements of each head of each row.
template <typename T>
__global__ void RotaryStoreKvKernel(RotaryStoreKvProblem problem) {
  const int head_dim = problem.head_dim;
  const int pairs = RotaryPair<T>::CountOf(head_dim, problem.rotary_dim);
  const int64_t i = GlobalThread();
  if (i >= problem.num_rows * problem.num_heads * pairs) return;
  const int64_t row = i / pairs / problem.num_heads;
  const int head = static_cast<int>(i / pairs % problem.num_heads);
  RotaryPair<T> pair(static_cast<int>(i % pairs), problem.rotary_dim);

  const float* const rotary_row =
      problem.rotary_dim == 0
          ? nullptr
          : problem.rotary + static_cast<int64_t>(problem.positions[row]) *
                                 problem.rotary_dim;
  T* const query = static_cast<T*>(problem.qkv) +
                   (row * problem.num_heads + head) * 3 * head_dim;
  if (problem.rotary_dim > 0) {
    pair.Load(query, rotary_row);
    pair.Store(query);
  }
  const int slot = problem.slots[row];
  if (slot < 0) return;
  const PageOfHead<T> page(problem.cache, slot / kKeysPerPage,
                           problem.num_heads, head, head_dim);
  const int offset = slot % kKeysPerPage * head_dim;
  pair.Load(query + head_dim, rotary_row);
  pair.Store(page.keys() + offset);
  pair.Copy(query + 2 * head_dim);
  pair.Store(page.values() + offset);
}

}  // namespace

cudaError_t LaunchRotaryStoreKv(const RotaryStoreKvProblem& problem,
                                DType dtype, cudaStream_t stream) {
  const int64_t work = problem.num_rows * problem.num_heads *
                       (problem.head_dim - problem.rotary_dim / 2);
  if (work == 0) return cudaSuccess;
  LaunchConfig config;
  const unsigned threads = ThreadsFor(work, kMaxThreads);
  config.name = "rotary_store_kv";
  config.grid = dim3(CtasFor(work, threads));
  config.cta = dim3(threads);
  config.stream = stream;
  return WithElement(dtype, [&](auto element) {
    return LaunchKernel(RotaryStoreKvKernel<decltype(element)>, config,
                        problem);
  });
}

}  // namespace blockserve::cuda
