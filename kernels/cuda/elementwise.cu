#include "kernels/cuda/compat.h"
#include "kernels/cuda/element.h"
#include "kernels/cuda/elementwise.h"

namespace blockserve::cuda {
namespace {

constexpr unsigned kMaxThreads = 256;

// A thread for each of `work` elements.
LaunchConfig ConfigFor(const char* name, int64_t work, cudaStream_t stream) {
  LaunchConfig config;
  const unsigned threads = ThreadsFor(work, kMaxThreads);
  config.name = name;
  config.grid = dim3(CtasFor(work, threads));
  config.cta = dim3(threads);
  config.stream = stream;
  return config;
}

template <typename T>
__global__ void EmbedKernel(EmbedProblem problem) {
  const int64_t i = GlobalThread();
  if (i >= problem.num_rows * problem.dim) return;
  const int64_t row = i / problem.dim;
  int64_t id = problem.ids[row * problem.ids_stride];
  if (id < 0) id = 0;
  const float value = ToFloat(
      static_cast<const T*>(problem.table)[id * problem.dim + i % problem.dim]);
  problem.output[i] = problem.accumulate ? problem.output[i] + value : value;
}

template <typename From, typename To>
__global__ void CastKernel(const From* input, To* output, int64_t count) {
  const int64_t i = GlobalThread();
  if (i < count) output[i] = FromFloat<To>(ToFloat(input[i]));
}

template <typename T>
__global__ void GeluKernel(const float* input, T* output, int64_t count) {
  const int64_t i = GlobalThread();
  if (i >= count) return;
  const float x = input[i];
  constexpr float kReciprocalRoot2 = 0.70710678f;
  output[i] = FromFloat<T>(0.5f * x * (1.0f + erff(x * kReciprocalRoot2)));
}

template <typename T>
__global__ void GatherRowsKernel(const T* input, const int32_t* indices,
                                 T* output, int64_t num_rows, int64_t dim) {
  const int64_t i = GlobalThread();
  if (i >= num_rows * dim) return;
  output[i] = input[indices[i / dim] * dim + i % dim];
}

template <typename T>
__global__ void CopyColumnsKernel(const T* input, int64_t width,
                                  int64_t column_begin, T* output,
                                  int64_t num_rows, int64_t dim) {
  const int64_t i = GlobalThread();
  if (i >= num_rows * dim) return;
  output[i] = input[i / dim * width + column_begin + i % dim];
}

}  // namespace

cudaError_t LaunchEmbed(const EmbedProblem& problem, DType dtype,
                        cudaStream_t stream) {
  const int64_t count = problem.num_rows * problem.dim;
  if (count == 0) return cudaSuccess;
  return WithElement(dtype, [&](auto element) {
    return LaunchKernel(EmbedKernel<decltype(element)>,
                        ConfigFor("embed", count, stream), problem);
  });
}

cudaError_t LaunchCast(const void* input, DType input_dtype, void* output,
                       DType output_dtype, int64_t count, cudaStream_t stream) {
  if (count == 0) return cudaSuccess;
  return WithElement(input_dtype, [&](auto from) {
    return WithElement(output_dtype, [&](auto to) {
      using From = decltype(from);
      using To = decltype(to);
      return LaunchKernel(
          CastKernel<From, To>, ConfigFor("cast", count, stream),
          static_cast<const From*>(input), static_cast<To*>(output), count);
    });
  });
}

cudaError_t LaunchGelu(const float* input, void* output, DType dtype,
                       int64_t count, cudaStream_t stream) {
  if (count == 0) return cudaSuccess;
  return WithElement(dtype, [&](auto element) {
    using T = decltype(element);
    return LaunchKernel(GeluKernel<T>, ConfigFor("gelu", count, stream), input,
                        static_cast<T*>(output), count);
  });
}

cudaError_t LaunchGatherRows(const void* input, const int32_t* indices,
                             void* output, int64_t num_rows, int64_t dim,
                             DType dtype, cudaStream_t stream) {
  if (num_rows * dim == 0) return cudaSuccess;
  return WithElement(dtype, [&](auto element) {
    using T = decltype(element);
    return LaunchKernel(GatherRowsKernel<T>,
                        ConfigFor("gather_rows", num_rows * dim, stream),
                        static_cast<const T*>(input), indices,
                        static_cast<T*>(output), num_rows, dim);
  });
}

cudaError_t LaunchCopyColumns(const void* input, int64_t width,
                              int64_t column_begin, void* output,
                              int64_t num_rows, int64_t dim, DType dtype,
                              cudaStream_t stream) {
  if (num_rows * dim == 0) return cudaSuccess;
  return WithElement(dtype, [&](auto element) {
    using T = decltype(element);
    return LaunchKernel(CopyColumnsKernel<T>,
                        ConfigFor("copy_columns", num_rows * dim, stream),
                        static_cast<const T*>(input), width, column_begin,
                        static_cast<T*>(output), num_rows, dim);
  });
}

}  // namespace blockserve::cuda
