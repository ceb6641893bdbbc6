// NCCL between two GPUs of this machine.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "kernels/api/tensor_view.h"
#include "parallel/backends/create_communicator.h"
#include "parallel/conformance/exchange_hub.h"

namespace blockserve {
namespace {

TEST(NcclDeviceTest, ReducesBetweenGpus) {
  constexpr int kSize = 2;
  int num_devices = 0;
  ASSERT_EQ(cudaGetDeviceCount(&num_devices), cudaSuccess);
  if (num_devices < kSize) GTEST_SKIP() << "needs two devices";
  ExchangeHub hub(kSize);
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < kSize; ++rank) {
    ranks.emplace_back([&, rank] {
      ASSERT_EQ(cudaSetDevice(rank), cudaSuccess);
      cudaStream_t stream = nullptr;
      ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
      float value = static_cast<float>(rank + 1);
      void* data = nullptr;
      ASSERT_EQ(cudaMalloc(&data, sizeof(value)), cudaSuccess);
      ASSERT_EQ(cudaMemcpy(data, &value, sizeof(value), cudaMemcpyDefault),
                cudaSuccess);
      {
        const auto made =
            CreateCommunicator("auto", rank, kSize, {}, /*one_host=*/true, "",
                               hub.ForRank(rank), stream);
        ASSERT_TRUE(made.ok()) << made.status();
        EXPECT_EQ((*made)->name(), "nccl");
        (*made)->AllReduce(TensorView(data, DType::kFloat32, {1, 1}));
        EXPECT_TRUE((*made)->Synchronize().ok()) << (*made)->error();
      }
      ASSERT_EQ(cudaMemcpy(&value, data, sizeof(value), cudaMemcpyDefault),
                cudaSuccess);
      EXPECT_EQ(value, 3.0f);
      cudaFree(data);
      cudaStreamDestroy(stream);
    });
  }
  for (std::thread& rank : ranks) rank.join();
}

}  // namespace
}  // namespace blockserve
