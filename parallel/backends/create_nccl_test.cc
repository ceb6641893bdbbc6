// CreateCommunicator with NCCL linked, on a machine without a device.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/status/status.h"
#include "parallel/backends/create_communicator.h"
#include "parallel/backends/linked_nccl.h"
#include "parallel/conformance/exchange_hub.h"

namespace blockserve {
namespace {

int NumDevices() {
  int num_devices = 0;
  return cudaGetDeviceCount(&num_devices) == cudaSuccess ? num_devices : 0;
}

absl::StatusOr<std::unique_ptr<Communicator>> Create(const std::string& kind,
                                                     int rank, int size,
                                                     ExchangeHub& hub,
                                                     void* stream) {
  return CreateCommunicator(kind, rank, size, {}, /*one_host=*/true, "",
                            hub.ForRank(rank), stream);
}

TEST(CreateNcclTest, IsLinked) { EXPECT_TRUE(HasNccl()); }

TEST(CreateNcclTest, AsksNcclWhichSaysThatThereIsNoDevice) {
  if (NumDevices() > 0) GTEST_SKIP() << "this machine has a device";
  int stream = 0;  // never used as one
  for (const char* const kind : {"auto", "nccl"}) {
    ExchangeHub hub(1);
    const absl::Status made = Create(kind, 0, 2, hub, &stream).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(made)) << made;
    EXPECT_NE(made.message().find("CUDA"), absl::string_view::npos) << made;
  }
}

}  // namespace
}  // namespace blockserve
