// A group of one.
#ifndef BLOCKSERVE_PARALLEL_LOCAL_LOCAL_COMMUNICATOR_H_
#define BLOCKSERVE_PARALLEL_LOCAL_LOCAL_COMMUNICATOR_H_

#include <memory>

#include "parallel/api/communicator.h"

namespace blockserve {

// Rank 0 of 1: collectives are checked and counted, and change nothing.
std::unique_ptr<Communicator> CreateLocalCommunicator(
    const CommunicatorLimits& limits);

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_LOCAL_LOCAL_COMMUNICATOR_H_
