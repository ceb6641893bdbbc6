// The communicator on a device of this machine.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <array>

#include "kernels/api/tensor_view.h"
#include "parallel/conformance/exchange_hub.h"
#include "parallel/nccl/nccl_communicator.h"

namespace blockserve {
namespace {

TEST(NcclDeviceTest, ARankAloneRunsEveryCollective) {
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
