// The communicator with the libraries that it will run on: all of it links, and
// a device that is missing is named.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>
#include <nccl.h>

#include "absl/status/status.h"
#include "parallel/conformance/exchange_hub.h"
#include "parallel/nccl/nccl_communicator.h"

namespace blockserve {
namespace {

bool HasDevice() {
  int num_devices = 0;
  return cudaGetDeviceCount(&num_devices) == cudaSuccess && num_devices > 0;
}

TEST(NcclLinkTest, TheLibraryIsTheOneOfTheHeader) {
  int version = 0;
  ASSERT_EQ(ncclGetVersion(&version), ncclSuccess);
  EXPECT_EQ(version, NCCL_VERSION_CODE);
}

TEST(NcclLinkTest, SaysThatThereIsNoDevice) {
  if (HasDevice()) GTEST_SKIP() << "this machine has a device";
  ExchangeHub hub(1);
  const auto made =
      CreateNcclCommunicator(0, 1, {}, nullptr, hub.ForRank(0)).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(made)) << made;
}

}  // namespace
}  // namespace blockserve
