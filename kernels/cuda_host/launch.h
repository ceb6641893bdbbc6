// A kernel launch on a fake stream.
#ifndef BLOCKSERVE_KERNELS_CUDA_HOST_LAUNCH_H_
#define BLOCKSERVE_KERNELS_CUDA_HOST_LAUNCH_H_

#include <cuda_runtime_api.h>

#include <functional>
#include <tuple>
#include <type_traits>
#include <vector>

#include "kernels/cuda_host/grid.h"

namespace blockserve {
namespace cuda_host {

// Enqueues a kernel on `stream`, or records it if the stream is being captured.
// Each time it runs, `pointers` must be null or in memory that is alive and on
// the stream's device. The limits of a launch are those of the smallest device
// that the kernels are compiled for.
//   cudaErrorInvalidConfiguration  more threads, CTAs or shared memory than
//   that
cudaError_t EnqueueKernel(const GridShape& shape, cudaStream_t stream,
                          std::vector<const void*> pointers,
                          std::function<void()> body);

// Adds what `argument` points to: a struct of pointers names them by a member
// VisitPointers(visit), which calls visit(pointer) for each.
template <typename T>
void AddPointers(const T& argument, std::vector<const void*>& pointers) {
  const auto add = [&](const void* pointer) { pointers.push_back(pointer); };
  if constexpr (std::is_pointer_v<T>) {
    add(argument);
  } else if constexpr (requires { argument.VisitPointers(add); }) {
    argument.VisitPointers(add);
  }
}

}  // namespace cuda_host

namespace cuda {

// As kernels/cuda/compat.h says.
struct LaunchConfig {
  const char* name = "";
  dim3 grid;
  dim3 cta;
  size_t dynamic_shared_bytes = 0;
  cudaStream_t stream = nullptr;
  bool is_cooperative = false;
};

// Arguments are converted and copied when the kernel is launched, as the driver
// does it: what a graph replays is what was captured.
template <typename... Parameters, typename... Arguments>
cudaError_t LaunchKernel(void (*kernel)(Parameters...),
                         const LaunchConfig& config, Arguments&&... arguments) {
  std::tuple<Parameters...> values(static_cast<Parameters>(arguments)...);
  std::vector<const void*> pointers;
  std::apply(
      [&](const auto&... value) {
        (cuda_host::AddPointers(value, pointers), ...);
      },
      values);
  return cuda_host::EnqueueKernel(
      {config.name, config.grid, config.cta, config.dynamic_shared_bytes,
       config.is_cooperative},
      config.stream, std::move(pointers),
      [kernel, values] { std::apply(kernel, values); });
}

}  // namespace cuda
}  // namespace blockserve

#endif  // BLOCKSERVE_KERNELS_CUDA_HOST_LAUNCH_H_
