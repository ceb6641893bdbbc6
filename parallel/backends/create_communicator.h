// The communicators linked into a binary, by name.
#ifndef BLOCKSERVE_PARALLEL_BACKENDS_CREATE_COMMUNICATOR_H_
#define BLOCKSERVE_PARALLEL_BACKENDS_CREATE_COMMUNICATOR_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "parallel/api/bootstrap.h"
#include "parallel/api/communicator.h"

namespace blockserve {

// `kind`: "auto", "shm", "gloo" or "nccl". "auto" is shared memory if all ranks
// are on `one_host`, else Gloo, bound to `bind_address`; a rank alone needs
// neither. INVALID_ARGUMENT for another name, or for shm between hosts;
// FAILED_PRECONDITION for what is not linked; else as the communicators.
absl::StatusOr<std::unique_ptr<Communicator>> CreateCommunicator(
    const std::string& kind, int rank, int size,
    const CommunicatorLimits& limits, bool one_host,
    const std::string& bind_address, const BlobExchange& exchange);

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_BACKENDS_CREATE_COMMUNICATOR_H_
