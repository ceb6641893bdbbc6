// One float in the memory of a device.
#ifndef BLOCKSERVE_PARALLEL_NCCL_DEVICE_FLOAT_H_
#define BLOCKSERVE_PARALLEL_NCCL_DEVICE_FLOAT_H_

#include <cuda_runtime_api.h>

#include <memory>

#include "absl/memory/memory.h"
#include "absl/status/statusor.h"
#include "parallel/nccl/nvidia_status.h"
#include "runtime/base/status_macros.h"

namespace blockserve {

// Owns it.
class DeviceFloat {
 public:
  // On the current device; zero once `stream` comes to what is enqueued next.
  static absl::StatusOr<std::unique_ptr<DeviceFloat>> Create(
      cudaStream_t stream) {
    auto one = absl::WrapUnique(new DeviceFloat());
    RETURN_IF_ERROR(
        ToStatus(cudaMalloc(&one->data_, sizeof(float)), "allocating a float"));
    RETURN_IF_ERROR(
        ToStatus(cudaMemsetAsync(one->data_, 0, sizeof(float), stream),
                 "clearing a float"));
    return one;
  }
  ~DeviceFloat() {
    if (data_ != nullptr) (void)cudaFree(data_);
  }

  DeviceFloat(const DeviceFloat&) = delete;
  DeviceFloat& operator=(const DeviceFloat&) = delete;

  float* data() const { return static_cast<float*>(data_); }
  // Gives it up without freeing it, which would wait for the device.
  void Leak() { data_ = nullptr; }

 private:
  DeviceFloat() = default;

  void* data_ = nullptr;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_NCCL_DEVICE_FLOAT_H_
