// Whether an address is this host's.
#ifndef BLOCKSERVE_PARALLEL_GLOO_OWN_ADDRESS_H_
#define BLOCKSERVE_PARALLEL_GLOO_OWN_ADDRESS_H_

#include <string>

#include "absl/status/status.h"

namespace blockserve {

// INVALID_ARGUMENT if `address` is no IPv4 address, or none that this host can
// be bound to.
absl::Status CheckOwnAddress(const std::string& address);

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_GLOO_OWN_ADDRESS_H_
