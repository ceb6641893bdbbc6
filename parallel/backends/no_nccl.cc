// Linked instead of linked_nccl.cc where there is no CUDA toolkit.
#include "absl/status/status.h"
#include "parallel/backends/linked_nccl.h"

namespace blockserve {

bool HasNccl() { return false; }

absl::StatusOr<std::unique_ptr<Communicator>> CreateLinkedNccl(
    int, int, const CommunicatorLimits&, void*, const BlobExchange&) {
  return absl::FailedPreconditionError(
      "collectives nccl are not built in; build with --config=cuda");
}

}  // namespace blockserve
