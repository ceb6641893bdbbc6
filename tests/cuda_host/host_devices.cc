#include "tests/cuda_host/host_devices.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda_host/fake_cuda.h"
#include "kernels/cuda_host/schedule.h"
#include "parallel/conformance/exchange_hub.h"
#include "parallel/nccl/nccl_communicator.h"
#include "parallel/nccl/testing/fake_nccl.h"
#include "parallel/nccl/testing/file_exchange.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

// A test's models are small, and memory is filled whenever it is given out.
constexpr CudaOptions kSmall = {.workspace_bytes = 1 << 16,
                                .scratch_bytes = 1 << 20,
                                .staging_bytes = 1 << 20};

// Those of `num_devices` ranks of the process, from rank `first_rank` on.
void CreateDevices(int num_devices, int first_rank, uint64_t seed, bool graphs,
                   GoldenDevices& devices) {
  ResetFakeCuda({.seed = seed, .num_devices = num_devices});
  cuda_host::SetSchedule({cuda_host::Policy::kRandomWarps, seed});
  devices.create_ops = [first_rank, graphs](
                           const std::string& dtype,
                           int rank) -> absl::StatusOr<std::unique_ptr<Ops>> {
    CudaOptions options = kSmall;
    options.dtype = dtype == "bf16" ? DType::kBFloat16 : DType::kFloat32;
    options.device_ordinal = rank - first_rank;
    options.graphs = graphs;
    ASSIGN_OR_RETURN(std::unique_ptr<CudaOps> ops, CudaOps::Create(options));
    return ops;
  };
}

void ConnectBy(const std::function<BlobExchange(int rank)>& exchange_of,
               int num_ranks, GoldenDevices& devices) {
  devices.connect =
      [exchange_of, num_ranks](
          int rank, const CommunicatorLimits& limits,
          Ops& ops) -> absl::StatusOr<std::unique_ptr<Communicator>> {
    // Makes the rank's device the thread's own.
    RETURN_IF_ERROR(ops.Synchronize());
    return CreateNcclCommunicator(rank, num_ranks, limits,
                                  static_cast<CudaOps&>(ops).stream(),
                                  exchange_of(rank));
  };
}

}  // namespace

GoldenDevices HostCudaDevices(int num_ranks, uint64_t seed, bool graphs) {
  GoldenDevices devices;
  CreateDevices(num_ranks, 0, seed, graphs, devices);
  auto hub = std::make_shared<ExchangeHub>(num_ranks);
  ConnectBy([hub](int rank) { return hub->ForRank(rank); }, num_ranks, devices);
  return devices;
}

GoldenDevices HostCudaDeviceOfProcess(const std::string& path, int rank,
                                      int num_ranks, uint64_t seed,
                                      bool graphs) {
  FakeNccl::ShareAmongProcesses(path);
  GoldenDevices devices;
  devices.only_rank = rank;
  CreateDevices(1, rank, seed, graphs, devices);
  const BlobExchange exchange = ExchangeByFiles(path, rank, num_ranks);
  ConnectBy([exchange](int) { return exchange; }, num_ranks, devices);
  return devices;
}

}  // namespace blockserve
