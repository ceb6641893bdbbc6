// Device memory for all that a model needs beside its weights.
#ifndef BLOCKSERVE_RUNTIME_LAYERS_SCRATCH_ALLOCATOR_H_
#define BLOCKSERVE_RUNTIME_LAYERS_SCRATCH_ALLOCATOR_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/api/buffer.h"
#include "kernels/api/ops.h"

namespace blockserve {

// Counts what it hands out, for the start-up report. Used at start-up only.
class ScratchAllocator {
 public:
  explicit ScratchAllocator(Ops& ops) : ops_(ops) {}

  ScratchAllocator(const ScratchAllocator&) = delete;
  ScratchAllocator& operator=(const ScratchAllocator&) = delete;

  // Zeroed. RESOURCE_EXHAUSTED if there is not enough.
  absl::StatusOr<Buffer> Allocate(size_t num_bytes);
  // A buffer that holds `values`.
  absl::StatusOr<Buffer> Upload(absl::Span<const int32_t> values);
  absl::StatusOr<Buffer> Upload(absl::Span<const float> values);

  Ops& ops() const { return ops_; }
  size_t num_bytes() const { return num_bytes_; }

 private:
  absl::StatusOr<Buffer> UploadBytes(const void* data, size_t num_bytes);

  Ops& ops_;
  size_t num_bytes_ = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_LAYERS_SCRATCH_ALLOCATOR_H_
