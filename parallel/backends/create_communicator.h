// The communicators linked into a binary, by name.
#ifndef BLOCKSERVE_PARALLEL_BACKENDS_CREATE_COMMUNICATOR_H_
#define BLOCKSERVE_PARALLEL_BACKENDS_CREATE_COMMUNICATOR_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "parallel/api/bootstrap.h"
#include "parallel/api/communicator.h"

namespace blockserve {

// `kind`: "auto", "shm", "gloo" or "nccl".
//
// Between tensors in host memory, "auto" is shared memory if all ranks are on
// `one_host`, else Gloo, bound to `bind_address`. Between tensors on GPUs it is
// NCCL: `cuda_stream` is the cudaStream_t that they are worked on with, and
// null says that they are in host memory. A rank alone needs none of them.
//   INVALID_ARGUMENT     another name, or shm between hosts
//   FAILED_PRECONDITION  not linked, or not for where the tensors are
//   else as the communicators
absl::StatusOr<std::unique_ptr<Communicator>> CreateCommunicator(
    const std::string& kind, int rank, int size,
    const CommunicatorLimits& limits, bool one_host,
    const std::string& bind_address, const BlobExchange& exchange,
    void* cuda_stream = nullptr);

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_BACKENDS_CREATE_COMMUNICATOR_H_
