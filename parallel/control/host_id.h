// Which host this process runs on, in the sense that matters to a group: who
// has the same id can reach each other by loopback and share memory.
#ifndef BLOCKSERVE_PARALLEL_CONTROL_HOST_ID_H_
#define BLOCKSERVE_PARALLEL_CONTROL_HOST_ID_H_

#include <string>

#include "absl/status/statusor.h"

namespace blockserve {

// Made of
//   the kernel's boot id        one running kernel, whatever its host name
//   the network namespace       ranks in other namespaces are other hosts to
//                               us: 127.0.0.1 is not theirs, and what stands
//                               between them may fail as a network does
//   the device of /dev/shm      where shared memory is named: containers of
//                               one pod have one network, but may each have a
//                               /dev/shm of their own
// Inodes of namespaces are unique under one kernel only, hence the boot id.
// The system's reason, with the file, if one of them cannot be read.
absl::StatusOr<std::string> LocalHostId();

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONTROL_HOST_ID_H_
