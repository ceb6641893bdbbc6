// What a model would take of a device's memory, without taking it.
#ifndef BLOCKSERVE_KERNELS_PROFILE_SIZING_OPS_H_
#define BLOCKSERVE_KERNELS_PROFILE_SIZING_OPS_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/profile/forwarding_ops.h"

namespace blockserve {

// Models load with it and must not step: buffers have a size and no memory.
// What the device takes by itself in Reserve is not seen.
class SizingOps final : public ForwardingOps {
 public:
  // Asked for the sizes of pages, paddings and elements; must outlive this.
  explicit SizingOps(Ops& device) : ForwardingOps(device) {}

  // Of all buffers so far.
  size_t allocated_bytes() const { return allocated_bytes_; }
  // Of all matrices so far, unpadded.
  size_t matrix_bytes() const { return matrix_bytes_; }

  absl::StatusOr<Buffer> Allocate(size_t num_bytes) override {
    allocated_bytes_ += num_bytes;
    return Buffer(nullptr, num_bytes, [](void*) {});
  }
  absl::StatusOr<std::unique_ptr<Matrix>> PackMatrix(const float*,
                                                     int64_t out_dim,
                                                     int64_t in_dim) override {
    auto matrix = std::make_unique<UnpackedMatrix>(
        out_dim, in_dim,
        static_cast<size_t>(out_dim * in_dim) * SizeOf(dtype()));
    matrix_bytes_ += matrix->num_bytes();
    return matrix;
  }
  void CopyToDevice(const void*, void*, size_t) override {}
  absl::Status Reserve(const OpsLimits&) override { return absl::OkStatus(); }
  absl::Status Synchronize() override { return absl::OkStatus(); }

 private:
  class UnpackedMatrix final : public Matrix {
   public:
    UnpackedMatrix(int64_t out_dim, int64_t in_dim, size_t num_bytes)
        : out_dim_(out_dim), in_dim_(in_dim), num_bytes_(num_bytes) {}
    int64_t out_dim() const override { return out_dim_; }
    int64_t in_dim() const override { return in_dim_; }
    size_t num_bytes() const override { return num_bytes_; }

   private:
    const int64_t out_dim_;
    const int64_t in_dim_;
    const size_t num_bytes_;
  };

  size_t allocated_bytes_ = 0;
  size_t matrix_bytes_ = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_KERNELS_PROFILE_SIZING_OPS_H_
