#include "parallel/backends/create_communicator.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "parallel/gloo/gloo_communicator.h"
#include "parallel/local/local_communicator.h"
#include "parallel/shared_memory/process_group.h"

namespace blockserve {

absl::StatusOr<std::unique_ptr<Communicator>> CreateCommunicator(
    const std::string& kind, int rank, int size,
    const CommunicatorLimits& limits, bool one_host,
    const std::string& bind_address, const BlobExchange& exchange) {
  if (kind != "auto" && kind != "shm" && kind != "gloo" && kind != "nccl") {
    return absl::InvalidArgumentError(absl::StrCat(
        "collectives must be auto, shm, gloo or nccl, got \"", kind, "\""));
  }
  // NCCL's (parallel/nccl) is made for a stream, which the cuda backend is to
  // bring; until there is one, no binary has it.
  if (kind == "nccl") {
    return absl::FailedPreconditionError(
        "collectives nccl are for the cuda backend, which is not built in");
  }
  if (size == 1) return CreateLocalCommunicator(limits);
  if (kind == "shm" && !one_host) {
    return absl::InvalidArgumentError(
        "collectives shm need all ranks on one host, in one network namespace");
  }
  if (kind == "shm" || (kind == "auto" && one_host)) {
    return CreateShmCommunicator(rank, size, limits, exchange);
  }
  return CreateGlooCommunicator(rank, size, limits, bind_address, exchange);
}

}  // namespace blockserve
