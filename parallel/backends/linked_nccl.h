// NCCL's communicator, in binaries that have it: those built with
// --config=cuda.
#ifndef BLOCKSERVE_PARALLEL_BACKENDS_LINKED_NCCL_H_
#define BLOCKSERVE_PARALLEL_BACKENDS_LINKED_NCCL_H_

#include <memory>

#include "absl/status/statusor.h"
#include "parallel/api/bootstrap.h"
#include "parallel/api/communicator.h"

namespace blockserve {

bool HasNccl();

// As CreateNcclCommunicator (parallel/nccl), `cuda_stream` being a
// cudaStream_t. FAILED_PRECONDITION where NCCL is not linked.
absl::StatusOr<std::unique_ptr<Communicator>> CreateLinkedNccl(
    int rank, int size, const CommunicatorLimits& limits, void* cuda_stream,
    const BlobExchange& exchange);

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_BACKENDS_LINKED_NCCL_H_
