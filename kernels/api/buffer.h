// Memory of a device, owned.
#ifndef BLOCKSERVE_KERNELS_API_BUFFER_H_
#define BLOCKSERVE_KERNELS_API_BUFFER_H_

#include <glog/logging.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <utility>

#include "kernels/api/dtype.h"
#include "kernels/api/tensor_view.h"

namespace blockserve {

// Freed when destroyed. Made by Ops::Allocate at start-up, never in a step.
class Buffer {
 public:
  using Deleter = void (*)(void*);

  Buffer() = default;
  Buffer(void* data, size_t num_bytes, Deleter deleter)
      : data_(data, deleter), num_bytes_(num_bytes) {}
  // A part of memory that several buffers keep alive.
  Buffer(std::shared_ptr<void> data, size_t num_bytes)
      : data_(std::move(data)), num_bytes_(num_bytes) {}
  Buffer(Buffer&&) = default;
  Buffer& operator=(Buffer&&) = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  void* data() const { return data_.get(); }
  size_t num_bytes() const { return num_bytes_; }

  // The start of the buffer as a tensor, which must fit.
  TensorView View(DType dtype, std::initializer_list<int64_t> shape) const {
    TensorView view(data_.get(), dtype, shape);
    CHECK_LE(view.num_bytes(), num_bytes_);
    return view;
  }

 private:
  std::shared_ptr<void> data_;
  size_t num_bytes_ = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_KERNELS_API_BUFFER_H_
