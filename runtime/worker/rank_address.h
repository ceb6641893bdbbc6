// Which address of this host a rank's traffic is bound to.
#ifndef BLOCKSERVE_RUNTIME_WORKER_RANK_ADDRESS_H_
#define BLOCKSERVE_RUNTIME_WORKER_RANK_ADDRESS_H_

#include <string>

#include "absl/status/statusor.h"

namespace blockserve {

// The IPv4 address of `interface`, which is its name or the address itself.
// INVALID_ARGUMENT, with what there is, if there is none such.
absl::StatusOr<std::string> AddressOfInterface(const std::string& interface);

// The IPv4 address from which this host reaches `host`; nothing is sent.
// UNAVAILABLE without a route or name.
absl::StatusOr<std::string> AddressTowards(const std::string& host);

// An IPv4 address by which others may reach this host: the first interface that
// is up and not loopback, else 127.0.0.1.
std::string PrimaryAddress();

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WORKER_RANK_ADDRESS_H_
