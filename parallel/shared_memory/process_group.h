// A communicator between processes of one host.
#ifndef BLOCKSERVE_PARALLEL_SHARED_MEMORY_PROCESS_GROUP_H_
#define BLOCKSERVE_PARALLEL_SHARED_MEMORY_PROCESS_GROUP_H_

#include <memory>

#include "absl/status/statusor.h"
#include "parallel/api/bootstrap.h"
#include "parallel/api/communicator.h"

namespace blockserve {

// Rank 0 makes a segment of POSIX shared memory with a random name, the others
// open it, and its name is gone before this returns: whoever is killed later
// leaves nothing behind. Two exchanges.
//   RESOURCE_EXHAUSTED  /dev/shm is too small
//   FAILED_PRECONDITION a rank does not see the segment of this epoch
absl::StatusOr<std::unique_ptr<Communicator>> CreateShmCommunicator(
    int rank, int size, const CommunicatorLimits& limits,
    const BlobExchange& exchange);

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_SHARED_MEMORY_PROCESS_GROUP_H_
