// The CUDA backend, in binaries that link it.
#ifndef BLOCKSERVE_RUNTIME_BACKEND_LINKED_CUDA_H_
#define BLOCKSERVE_RUNTIME_BACKEND_LINKED_CUDA_H_

#include <memory>

#include "absl/status/statusor.h"
#include "kernels/api/dtype.h"
#include "kernels/api/ops.h"

namespace blockserve {

// Makes the backend on device `device`, or, if that is -1, on the one that
// falls to `rank` when the ranks of a host are dealt to its devices.
// FAILED_PRECONDITION where there is no such device.
using CudaBackendFactory = absl::StatusOr<std::unique_ptr<Ops>> (*)(DType dtype,
                                                                    int device,
                                                                    int rank);

// Null in a binary without it. Set before main by :linked_cuda, so that the
// libraries that it needs are those of the binaries that name it.
extern CudaBackendFactory linked_cuda;

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BACKEND_LINKED_CUDA_H_
