// A communicator between GPUs, by NCCL.
//
// Compiled and linked against CUDA 13.0 and NCCL 2.28.9, and tested over fakes
// of both (parallel/nccl/testing); not yet run on a device.
#ifndef BLOCKSERVE_PARALLEL_NCCL_NCCL_COMMUNICATOR_H_
#define BLOCKSERVE_PARALLEL_NCCL_NCCL_COMMUNICATOR_H_

#include <cuda_runtime_api.h>

#include <memory>

#include "absl/status/statusor.h"
#include "parallel/api/bootstrap.h"
#include "parallel/api/communicator.h"

namespace blockserve {

// Connects ranks with one GPU each; one exchange, in which rank 0 gives NCCL's
// unique id and a rank that cannot go on says so. Tensors lie in the memory of
// the current device; calls are enqueued on `stream`, which is that device's,
// outlives the communicator and is not being captured.
//
// A thread watches the group: an error of NCCL's, or a call that waits for its
// peers longer than limits.timeout, counted from when the device came to it,
// poisons. Poisoned, NCCL is aborted, which ends what waits on the device;
// Synchronize returns after that, but waits for it no longer than another
// timeout. The destructor waits for calls that are not done as long.
//
// Sums: all ranks get the same bits from an AllReduce. Between more than two
// ranks NCCL may add in another order in a ReduceScatter, whose bits then
// differ from an AllReduce's.
//   FAILED_PRECONDITION  no device here, or a peer says that it cannot go on
//   RESOURCE_EXHAUSTED   no memory on the device
//   DEADLINE_EXCEEDED    not all peers came
//   UNAVAILABLE, INTERNAL as NCCL says
//   what `exchange` returns
absl::StatusOr<std::unique_ptr<Communicator>> CreateNcclCommunicator(
    int rank, int size, const CommunicatorLimits& limits, cudaStream_t stream,
    const BlobExchange& exchange);

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_NCCL_NCCL_COMMUNICATOR_H_
