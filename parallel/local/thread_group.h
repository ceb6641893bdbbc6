// A group whose ranks are threads of this process.
#ifndef BLOCKSERVE_PARALLEL_LOCAL_THREAD_GROUP_H_
#define BLOCKSERVE_PARALLEL_LOCAL_THREAD_GROUP_H_

#include <memory>
#include <vector>

#include "parallel/api/communicator.h"

namespace blockserve {

// One communicator per rank, in rank order, each for a thread of its own; they
// may be destroyed in any order. The code and the bits of the shared-memory
// communicator. `size` in [1, 64].
std::vector<std::unique_ptr<Communicator>> CreateThreadGroup(
    int size, const CommunicatorLimits& limits);

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_LOCAL_THREAD_GROUP_H_
