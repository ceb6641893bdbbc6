#include "parallel/backends/create_communicator.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "parallel/backends/linked_nccl.h"
#include "parallel/gloo/gloo_communicator.h"
#include "parallel/local/local_communicator.h"
#include "parallel/shared_memory/process_group.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

absl::Status CheckKind(const std::string& kind, bool one_host, bool on_gpus) {
  if (kind != "auto" && kind != "shm" && kind != "gloo" && kind != "nccl") {
    return absl::InvalidArgumentError(absl::StrCat(
        "collectives must be auto, shm, gloo or nccl, got \"", kind, "\""));
  }
  if (kind == "shm" && !one_host) {
    return absl::InvalidArgumentError(
        "collectives shm need all ranks on one host, in one network namespace");
  }
  if (kind == "nccl" && !HasNccl()) {
    return absl::FailedPreconditionError(
        "collectives nccl are not built in; build with --config=cuda");
  }
  if (kind == "nccl" && !on_gpus) {
    return absl::FailedPreconditionError(
        "collectives nccl are between GPUs, and this backend works in host "
        "memory");
  }
  if ((kind == "shm" || kind == "gloo") && on_gpus) {
    return absl::FailedPreconditionError(
        absl::StrCat("collectives ", kind,
                     " work in host memory, and this backend on a GPU"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Communicator>> CreateCommunicator(
    const std::string& kind, int rank, int size,
    const CommunicatorLimits& limits, bool one_host,
    const std::string& bind_address, const BlobExchange& exchange,
    void* cuda_stream) {
  const bool on_gpus = cuda_stream != nullptr;
  RETURN_IF_ERROR(CheckKind(kind, one_host, on_gpus));
  if (size == 1) return CreateLocalCommunicator(limits);
  if (on_gpus) {
    return CreateLinkedNccl(rank, size, limits, cuda_stream, exchange);
  }
  if (kind == "shm" || (kind == "auto" && one_host)) {
    return CreateShmCommunicator(rank, size, limits, exchange);
  }
  return CreateGlooCommunicator(rank, size, limits, bind_address, exchange);
}

}  // namespace blockserve
