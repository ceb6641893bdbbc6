// Memory for weights, KV cache and activations.
#ifndef BLOCKSERVE_KERNELS_CPU_MEMORY_H_
#define BLOCKSERVE_KERNELS_CPU_MEMORY_H_

#include <cstddef>

#include "absl/status/statusor.h"
#include "kernels/api/buffer.h"

namespace blockserve::cpu {

// Zeroed, aligned to a cache line, in huge pages where the system has some.
// RESOURCE_EXHAUSTED if there is not enough. Thread-safe.
absl::StatusOr<Buffer> AllocateMemory(size_t num_bytes);

}  // namespace blockserve::cpu

#endif  // BLOCKSERVE_KERNELS_CPU_MEMORY_H_
