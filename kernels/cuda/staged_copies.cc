#include "kernels/cuda/staged_copies.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/cuda/cuda_memory.h"
#include "kernels/cuda/cuda_status.h"
#include "runtime/base/status_macros.h"

namespace blockserve::cuda {
namespace {

constexpr size_t kAlignment = 64;

size_t Aligned(size_t num_bytes) {
  return (num_bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

absl::StatusOr<std::unique_ptr<StagedCopies>> StagedCopies::Create(
    size_t num_bytes, cudaStream_t stream) {
  ASSIGN_OR_RETURN(Buffer memory, AllocatePinned(Aligned(num_bytes)));
  return std::unique_ptr<StagedCopies>(
      new StagedCopies(std::move(memory), stream));
}

absl::StatusOr<size_t> StagedCopies::Reserve(size_t num_bytes) {
  if (used_ + std::min(Aligned(num_bytes), memory_.num_bytes()) >
      memory_.num_bytes()) {
    RETURN_IF_ERROR(Synchronize());
  }
  return std::min(num_bytes, memory_.num_bytes() - used_);
}

absl::Status StagedCopies::ToDevice(const void* host, void* device,
                                    size_t num_bytes) {
  const auto* from = static_cast<const char*>(host);
  auto* to = static_cast<char*>(device);
  while (num_bytes > 0) {
    ASSIGN_OR_RETURN(const size_t part, Reserve(num_bytes));
    char* const staged = static_cast<char*>(memory_.data()) + used_;
    std::memcpy(staged, from, part);
    RETURN_IF_ERROR(ToStatus(
        cudaMemcpyAsync(to, staged, part, cudaMemcpyHostToDevice, stream_),
        "copying to the device"));
    used_ += Aligned(part);
    from += part;
    to += part;
    num_bytes -= part;
  }
  return absl::OkStatus();
}

absl::Status StagedCopies::ToHost(const void* device, void* host,
                                  size_t num_bytes) {
  const auto* from = static_cast<const char*>(device);
  auto* to = static_cast<char*>(host);
  while (num_bytes > 0) {
    ASSIGN_OR_RETURN(const size_t part, Reserve(num_bytes));
    char* const staged = static_cast<char*>(memory_.data()) + used_;
    RETURN_IF_ERROR(ToStatus(
        cudaMemcpyAsync(staged, from, part, cudaMemcpyDeviceToHost, stream_),
        "copying from the device"));
    deliveries_.push_back({to, staged, part});
    used_ += Aligned(part);
    from += part;
    to += part;
    num_bytes -= part;
  }
  return absl::OkStatus();
}

absl::Status StagedCopies::Synchronize() {
  const absl::Status status =
      ToStatus(cudaStreamSynchronize(stream_), "waiting for the device");
  if (status.ok()) {
    for (const Delivery& delivery : deliveries_) {
      std::memcpy(delivery.host, delivery.staged, delivery.num_bytes);
    }
  }
  deliveries_.clear();
  used_ = 0;
  return status;
}

}  // namespace blockserve::cuda
