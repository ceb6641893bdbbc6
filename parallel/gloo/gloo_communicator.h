// A communicator over TCP, between hosts without a GPU, by Gloo.
#ifndef BLOCKSERVE_PARALLEL_GLOO_GLOO_COMMUNICATOR_H_
#define BLOCKSERVE_PARALLEL_GLOO_GLOO_COMMUNICATOR_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "parallel/api/bootstrap.h"
#include "parallel/api/communicator.h"

namespace blockserve {

// Connects every rank with every other, bound to the IPv4 address
// `bind_address` of this host; two exchanges. Waits limits.timeout for a peer
// to connect. The process must ignore SIGPIPE, which Gloo raises when a peer
// has gone.
//
// Gloo knows no secrets and no encryption: the network between ranks must be
// their own. A rank listens until its peers have connected, some milliseconds,
// and not after. A stranger who comes in between is taken for the peer: what it
// says ends this epoch with an error (parallel/conformance), but for a forged
// message of Gloo's own, which ends the process: Gloo throws in its thread.
//
//   UNAVAILABLE        a peer cannot be reached
//   INVALID_ARGUMENT   the address is not of this host
//   what `exchange` returns
absl::StatusOr<std::unique_ptr<Communicator>> CreateGlooCommunicator(
    int rank, int size, const CommunicatorLimits& limits,
    const std::string& bind_address, const BlobExchange& exchange);

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_GLOO_GLOO_COMMUNICATOR_H_
