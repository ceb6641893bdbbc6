// CreateCommunicator with NCCL linked, on as many GPUs as this machine has.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "kernels/api/tensor_view.h"
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

TEST(CreateNcclTest, ReducesBetweenGpus) {
  constexpr int kSize = 2;
  if (NumDevices() < kSize) GTEST_SKIP() << "needs two devices";
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
        const auto made = Create("auto", rank, kSize, hub, stream);
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
