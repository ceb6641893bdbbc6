// How much memory this process may still take.
#ifndef BLOCKSERVE_RUNTIME_WORKER_AVAILABLE_MEMORY_H_
#define BLOCKSERVE_RUNTIME_WORKER_AVAILABLE_MEMORY_H_

#include <cstdint>
#include <string>

namespace blockserve {

// The least of what the machine and the process's control group (version 1 or
// 2) have left, in bytes. `root` is where /proc and /sys are found.
int64_t AvailableMemoryBytes(const std::string& root = "");

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WORKER_AVAILABLE_MEMORY_H_
