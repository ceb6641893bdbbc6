// The communicator with the libraries that it will run on. Without a device
// this shows that all of it links and that what is missing is said; with one, a
// rank alone runs every collective.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>
#include <nccl.h>

#include <array>

#include "absl/status/status.h"
#include "kernels/api/tensor_view.h"
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

TEST(NcclLinkTest, ARankAloneRunsEveryCollective) {
  if (!HasDevice()) GTEST_SKIP() << "this machine has no device";
  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
  std::array<float, 6> values = {1, 2, 3, 4, 5, 6};
  void* data = nullptr;
  ASSERT_EQ(cudaMalloc(&data, sizeof(values)), cudaSuccess);
  ASSERT_EQ(cudaMemcpy(data, values.data(), sizeof(values), cudaMemcpyDefault),
            cudaSuccess);
  {
    ExchangeHub hub(1);
    auto made = CreateNcclCommunicator(0, 1, {}, stream, hub.ForRank(0));
    ASSERT_TRUE(made.ok()) << made.status();
    const TensorView view(data, DType::kFloat32, {3, 2});
    (*made)->AllReduce(view);
    (*made)->ReduceScatter(view);
    (*made)->AllGather({view});
    (*made)->Broadcast(view, 0);
    (*made)->Barrier();
    EXPECT_TRUE((*made)->Synchronize().ok()) << (*made)->error();
  }
  std::array<float, 6> after = {};
  ASSERT_EQ(cudaMemcpy(after.data(), data, sizeof(after), cudaMemcpyDefault),
            cudaSuccess);
  EXPECT_EQ(after, values);
  cudaFree(data);
  cudaStreamDestroy(stream);
}

}  // namespace
}  // namespace blockserve
