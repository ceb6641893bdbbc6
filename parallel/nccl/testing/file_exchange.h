// A rendezvous of processes on one machine, for tests.
#ifndef BLOCKSERVE_PARALLEL_NCCL_TESTING_FILE_EXCHANGE_H_
#define BLOCKSERVE_PARALLEL_NCCL_TESTING_FILE_EXCHANGE_H_

#include <string>

#include "parallel/api/bootstrap.h"

namespace blockserve {

// Blobs are files whose names begin with `path`, one for each rank and call.
BlobExchange ExchangeByFiles(const std::string& path, int rank, int size);

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_NCCL_TESTING_FILE_EXCHANGE_H_
