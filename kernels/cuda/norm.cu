#include "kernels/cuda/compat.h"
#include "kernels/cuda/element.h"
#include "kernels/cuda/norm.h"
#include "kernels/cuda/reduce.h"

namespace blockserve::cuda {
namespace {

// Each thread has some elements of a row of usual width.
constexpr unsigned kMaxThreads = 256;
constexpr int kElementsPerThread = 4;

__device__ __forceinline__ float Scaled(const NormOutput& norm, float normal,
                                        int i) {
  const float scaled = normal * norm.gamma[i];
  return norm.beta == nullptr ? scaled : scaled + norm.beta[i];
}

// One CTA for each row. The row is read three times, twice of them from L1;
// variance from the mean, not from the sum of squares, which would cancel.
template <typename T>
__global__ void __launch_bounds__(kMaxThreads) NormKernel(NormProblem problem) {
  const int dim = problem.dim;
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * dim;
  const float* const row = problem.input + begin;
  const int thread = static_cast<int>(threadIdx.x);
  const int num_threads = static_cast<int>(blockDim.x);

  float mean = 0.0f;
  if (problem.subtracts_mean) {
    float sum = 0.0f;
    for (int i = thread; i < dim; i += num_threads) sum += row[i];
    mean = CtaSum(sum) / static_cast<float>(dim);
  }
  float squares = 0.0f;
  for (int i = thread; i < dim; i += num_threads) {
    const float difference = row[i] - mean;
    squares += difference * difference;
  }
  const float variance = CtaSum(squares) / static_cast<float>(dim);
  const float factor = rsqrtf(variance + problem.eps);

  T* const first = static_cast<T*>(problem.first.output);
  T* const second = static_cast<T*>(problem.second.output);
  for (int i = thread; i < dim; i += num_threads) {
    const float normal = (row[i] - mean) * factor;
    const float value = Scaled(problem.first, normal, i);
    if (first != nullptr) first[begin + i] = FromFloat<T>(value);
    if (second != nullptr) {
      second[begin + i] = FromFloat<T>(Scaled(problem.second, normal, i));
    }
    if (problem.float_output != nullptr) {
      problem.float_output[begin + i] = value;
    }
  }
}

}  // namespace

cudaError_t LaunchNorm(const NormProblem& problem, DType dtype,
                       cudaStream_t stream) {
  if (problem.num_rows == 0) return cudaSuccess;
  LaunchConfig config;
  config.name = "norm";
  config.grid = dim3(static_cast<unsigned>(problem.num_rows));
  config.cta = dim3(ThreadsFor(problem.dim / kElementsPerThread, kMaxThreads));
  config.stream = stream;
  return WithElement(dtype, [&](auto element) {
    return LaunchKernel(NormKernel<decltype(element)>, config, problem);
  });
}

}  // namespace blockserve::cuda
