// How the ranks of an epoch hand each other what a library needs to connect
// them: an address, a unique id, the name of a memory segment.
#ifndef BLOCKSERVE_PARALLEL_API_BOOTSTRAP_H_
#define BLOCKSERVE_PARALLEL_API_BOOTSTRAP_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace blockserve {

// Every rank of an epoch brings a small string of bytes and gets everybody's,
// in rank order. Blocks until all have come; all ranks make the same calls in
// the same order. Made by the rendezvous, which knows who the ranks are.
using BlobExchange =
    std::function<absl::StatusOr<std::vector<std::string>>(std::string mine)>;

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_API_BOOTSTRAP_H_
