// Runs a kernel's grid on the calling thread.
#ifndef BLOCKSERVE_KERNELS_CUDA_HOST_GRID_H_
#define BLOCKSERVE_KERNELS_CUDA_HOST_GRID_H_

#include <vector_types.h>

#include <cstddef>
#include <functional>

namespace blockserve::cuda_host {

struct GridShape {
  const char* name = "";  // of the kernel, in messages
  dim3 grid;
  dim3 cta;
  size_t dynamic_shared_bytes = 0;
  // All CTAs at once, so that they may wait for each other. Otherwise one
  // after the other, in an order that the policy chooses.
  bool is_cooperative = false;
};

// Runs `body` in every thread of the grid, as the present schedule says
// (schedule.h), and returns when all have ended. Fails as failure.h says where
// they do what CUDA forbids.
void RunGrid(const GridShape& shape, const std::function<void()>& body);

}  // namespace blockserve::cuda_host

#endif  // BLOCKSERVE_KERNELS_CUDA_HOST_GRID_H_
