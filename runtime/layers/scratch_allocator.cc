#include "runtime/layers/scratch_allocator.h"

#include <algorithm>

#include "runtime/base/status_macros.h"

namespace blockserve {

absl::StatusOr<Buffer> ScratchAllocator::Allocate(size_t num_bytes) {
  // An empty TensorView means "not given", so that even an array without
  // elements needs an address.
  ASSIGN_OR_RETURN(Buffer buffer,
                   ops_.Allocate(std::max<size_t>(num_bytes, 64)));
  num_bytes_ += buffer.num_bytes();
  return buffer;
}

absl::StatusOr<Buffer> ScratchAllocator::Upload(
    absl::Span<const int32_t> values) {
  return UploadBytes(values.data(), values.size() * sizeof(int32_t));
}

absl::StatusOr<Buffer> ScratchAllocator::Upload(
    absl::Span<const float> values) {
  return UploadBytes(values.data(), values.size() * sizeof(float));
}

absl::StatusOr<Buffer> ScratchAllocator::UploadBytes(const void* data,
                                                     size_t num_bytes) {
  ASSIGN_OR_RETURN(Buffer buffer, Allocate(num_bytes));
  ops_.CopyToDevice(data, buffer.data(), num_bytes);
  // `data` belongs to the caller and need not outlive this call.
  RETURN_IF_ERROR(ops_.Synchronize());
  return buffer;
}

}  // namespace blockserve
