// The small arrays that describe a step to the device.
#ifndef BLOCKSERVE_RUNTIME_LAYERS_STEP_METADATA_H_
#define BLOCKSERVE_RUNTIME_LAYERS_STEP_METADATA_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/api/buffer.h"
#include "kernels/api/tensor_view.h"
#include "runtime/layers/scratch_allocator.h"

namespace blockserve {

// Positions, slots, page tables, ids, masks: the parts of a model declare their
// arrays at start-up, fill the host's copies in each step, and one Upload
// brings all of them to the device. Addresses never change.
class StepMetadata {
 public:
  // An array, known by where it begins.
  struct Array {
    size_t byte_begin = 0;
    int64_t capacity = 0;
  };

  StepMetadata() = default;
  StepMetadata(const StepMetadata&) = delete;
  StepMetadata& operator=(const StepMetadata&) = delete;

  // Before Allocate only.
  Array AddInt32(int64_t capacity) { return Add(capacity, DType::kInt32); }
  Array AddUint8(int64_t capacity) { return Add(capacity, DType::kUint8); }
  absl::Status Allocate(ScratchAllocator& scratch);

  // The host's copy, of full capacity. What a step does not fill keeps the
  // values of an earlier one.
  absl::Span<int32_t> Int32(Array array);
  absl::Span<uint8_t> Uint8(Array array);

  // The device's copy, as of the last Upload.
  TensorView DeviceInt32(Array array,
                         std::initializer_list<int64_t> shape) const {
    return Device(array, DType::kInt32, shape);
  }
  TensorView DeviceUint8(Array array,
                         std::initializer_list<int64_t> shape) const {
    return Device(array, DType::kUint8, shape);
  }

  // Enqueues the copy; the host's copies may change again once the Ops has
  // been synchronized.
  void Upload(Ops& ops);

 private:
  Array Add(int64_t capacity, DType dtype);
  TensorView Device(Array array, DType dtype,
                    std::initializer_list<int64_t> shape) const;

  size_t num_bytes_ = 0;
  std::vector<std::byte> host_;
  Buffer device_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_LAYERS_STEP_METADATA_H_
