#include "parallel/backends/linked_nccl.h"

#include "parallel/nccl/nccl_communicator.h"

namespace blockserve {

bool HasNccl() { return true; }

absl::StatusOr<std::unique_ptr<Communicator>> CreateLinkedNccl(
    int rank, int size, const CommunicatorLimits& limits, void* cuda_stream,
    const BlobExchange& exchange) {
  return CreateNcclCommunicator(
      rank, size, limits, static_cast<cudaStream_t>(cuda_stream), exchange);
}

}  // namespace blockserve
