// The end of a test whose device code or host code did what CUDA forbids.
#ifndef BLOCKSERVE_KERNELS_CUDA_HOST_FAILURE_H_
#define BLOCKSERVE_KERNELS_CUDA_HOST_FAILURE_H_

#include <string>

namespace blockserve::cuda_host {

// Writes "cuda_host: `what`" and ends the process: on a device such code would
// be undefined, so nothing after it means anything.
[[noreturn]] void Fail(const std::string& what);

}  // namespace blockserve::cuda_host

#endif  // BLOCKSERVE_KERNELS_CUDA_HOST_FAILURE_H_
