#include "tests/cuda_host/host_devices.h"

#include <memory>
#include <string>
#include <utility>

#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda_host/fake_cuda.h"
#include "kernels/cuda_host/schedule.h"
#include "parallel/conformance/exchange_hub.h"
#include "parallel/nccl/nccl_communicator.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

// A test's models are small, and memory is filled whenever it is given out.
constexpr CudaOptions kSmall = {.workspace_bytes = 1 << 16,
                                .scratch_bytes = 1 << 20,
                                .staging_bytes = 1 << 20};

}  // namespace

GoldenDevices HostCudaDevices(int num_ranks, uint64_t seed, bool graphs) {
  ResetFakeCuda({.seed = seed, .num_devices = num_ranks});
  cuda_host::SetSchedule({cuda_host::Policy::kRandomWarps, seed});
  GoldenDevices devices;
  devices.create_ops = [graphs](
                           const std::string& dtype,
                           int rank) -> absl::StatusOr<std::unique_ptr<Ops>> {
    CudaOptions options = kSmall;
    options.dtype = dtype == "bf16" ? DType::kBFloat16 : DType::kFloat32;
    options.device_ordinal = rank;
    options.graphs = graphs;
    ASSIGN_OR_RETURN(std::unique_ptr<CudaOps> ops, CudaOps::Create(options));
    return ops;
  };
  auto hub = std::make_shared<ExchangeHub>(num_ranks);
  devices.connect =
      [hub, num_ranks](
          int rank, const CommunicatorLimits& limits,
          Ops& ops) -> absl::StatusOr<std::unique_ptr<Communicator>> {
    // Makes the rank's device the thread's own.
    RETURN_IF_ERROR(ops.Synchronize());
    return CreateNcclCommunicator(rank, num_ranks, limits,
                                  static_cast<CudaOps&>(ops).stream(),
                                  hub->ForRank(rank));
  };
  return devices;
}

}  // namespace blockserve
