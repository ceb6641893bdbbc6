// How ranks come to the unique id by which NCCL connects them.
#ifndef BLOCKSERVE_PARALLEL_NCCL_UNIQUE_ID_H_
#define BLOCKSERVE_PARALLEL_NCCL_UNIQUE_ID_H_

#include <nccl.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "parallel/api/bootstrap.h"

namespace blockserve {

// One exchange, in which rank 0 brings the id. `ready` says whether this rank
// can go on: one that cannot still comes, so that nobody waits for it, and gets
// `ready` back, and its peers FAILED_PRECONDITION with what it says.
absl::StatusOr<ncclUniqueId> ExchangeUniqueId(int rank, absl::Status ready,
                                              const BlobExchange& exchange);

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_NCCL_UNIQUE_ID_H_
