#include "runtime/layers/step_metadata.h"

#include <glog/logging.h>

#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

constexpr size_t kAlignment = 64;

}  // namespace

StepMetadata::Array StepMetadata::Add(int64_t capacity, DType dtype) {
  CHECK(host_.empty()) << "array declared after Allocate";
  CHECK_GE(capacity, 0);
  const Array array{num_bytes_, capacity};
  const size_t size = static_cast<size_t>(capacity) * SizeOf(dtype);
  num_bytes_ += (size + kAlignment - 1) / kAlignment * kAlignment;
  return array;
}

absl::Status StepMetadata::Allocate(ScratchAllocator& scratch) {
  host_.resize(num_bytes_ + kAlignment);
  ASSIGN_OR_RETURN(device_, scratch.Allocate(num_bytes_ + kAlignment));
  return absl::OkStatus();
}

absl::Span<int32_t> StepMetadata::Int32(Array array) {
  return {reinterpret_cast<int32_t*>(host_.data() + array.byte_begin),
          static_cast<size_t>(array.capacity)};
}

absl::Span<uint8_t> StepMetadata::Uint8(Array array) {
  return {reinterpret_cast<uint8_t*>(host_.data() + array.byte_begin),
          static_cast<size_t>(array.capacity)};
}

TensorView StepMetadata::Device(Array array, DType dtype,
                                std::initializer_list<int64_t> shape) const {
  const TensorView view(
      static_cast<std::byte*>(device_.data()) + array.byte_begin, dtype, shape);
  DCHECK_LE(view.num_elements(), array.capacity);
  return view;
}

void StepMetadata::Upload(Ops& ops) {
  ops.CopyToDevice(host_.data(), device_.data(), num_bytes_);
}

}  // namespace blockserve
