#include "kernels/cuda_host/fake_cuda.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/cuda_host/device_code.h"

namespace blockserve {
namespace {

constexpr int kCount = 100;
constexpr size_t kBytes = kCount * sizeof(float);

__global__ void FillKernel(float* values, int count, float value) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) values[i] = value;
}

class FakeCudaTest : public testing::Test {
 protected:
  void SetUp() override {
    ResetFakeCuda();
    EXPECT_EQ(cudaSetDevice(0), cudaSuccess);
    stream_ = NewStream();
    device_ = NewArray();
    void* host = nullptr;
    EXPECT_EQ(cudaMallocHost(&host, kBytes), cudaSuccess);
    host_ = static_cast<float*>(host);
  }
  void TearDown() override {
    EXPECT_EQ(cudaStreamDestroy(stream_), cudaSuccess);
    EXPECT_EQ(cudaFree(device_), cudaSuccess);
    EXPECT_EQ(cudaFreeHost(host_), cudaSuccess);
  }

  static cudaStream_t NewStream() {
    cudaStream_t stream = nullptr;
    EXPECT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking),
              cudaSuccess);
    return stream;
  }
  static float* NewArray() {
    void* data = nullptr;
    EXPECT_EQ(cudaMalloc(&data, kBytes), cudaSuccess);
    return static_cast<float*>(data);
  }
  static cudaError_t Fill(float* values, float value, cudaStream_t stream) {
    return cuda::LaunchKernel(
        FillKernel,
        {.name = "fill", .grid = dim3(4), .cta = dim3(32), .stream = stream},
        values, kCount, value);
  }
  cudaError_t ReadBack() {
    return cudaMemcpyAsync(host_, device_, kBytes, cudaMemcpyDeviceToHost,
                           stream_);
  }

  cudaStream_t stream_ = nullptr;
  float* device_ = nullptr;
  float* host_ = nullptr;
};

TEST_F(FakeCudaTest, WorkRunsWhenItIsAwaited) {
  ASSERT_EQ(Fill(device_, 3.0f, stream_), cudaSuccess);
  ASSERT_EQ(ReadBack(), cudaSuccess);
  EXPECT_TRUE(std::isnan(host_[0]));
  EXPECT_EQ(CountsOfFakeCuda().num_kernels(), 0);
  ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  EXPECT_EQ(host_[0], 3.0f);
  EXPECT_EQ(host_[kCount - 1], 3.0f);
  EXPECT_EQ(CountsOfFakeCuda().kernels.at("fill"), 1);
  EXPECT_EQ(CountsOfFakeCuda().num_copies, 1);
  EXPECT_EQ(CountsOfFakeCuda().num_waits, 1);
}

TEST_F(FakeCudaTest, FreeingWaitsForTheDeviceOfTheMemory) {
  float* const array = NewArray();
  ASSERT_EQ(Fill(array, 1.0f, stream_), cudaSuccess);
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
  ASSERT_EQ(cudaFree(array), cudaSuccess);
  ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
  EXPECT_EQ(CountsOfFakeCuda().kernels.at("fill"), 1);
}

TEST_F(FakeCudaTest, CopiesTakeWhatIsThereWhenTheyRun) {
  for (int i = 0; i < kCount; ++i) host_[i] = 1.0f;
  ASSERT_EQ(
      cudaMemcpyAsync(device_, host_, kBytes, cudaMemcpyHostToDevice, stream_),
      cudaSuccess);
  host_[0] = 2.0f;  // too early
  ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  EXPECT_EQ(device_[0], 2.0f);
}

TEST_F(FakeCudaTest, StreamsRunInAnyOrderThatEventsAllow) {
  cudaStream_t other = NewStream();
  cudaEvent_t event = nullptr;
  ASSERT_EQ(cudaEventCreateWithFlags(&event, cudaEventDisableTiming),
            cudaSuccess);
  bool was_first[2] = {};
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    ResetFakeCuda({.seed = seed});
    ASSERT_EQ(Fill(device_, 1.0f, stream_), cudaSuccess);
    ASSERT_EQ(Fill(device_, 2.0f, other), cudaSuccess);
    ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    was_first[device_[0] == 2.0f] = true;
    // With an event there is one order.
    ASSERT_EQ(Fill(device_, 1.0f, stream_), cudaSuccess);
    ASSERT_EQ(cudaEventRecord(event, stream_), cudaSuccess);
    ASSERT_EQ(cudaEventQuery(event), cudaErrorNotReady);
    ASSERT_EQ(cudaStreamWaitEvent(other, event, 0), cudaSuccess);
    ASSERT_EQ(Fill(device_, 2.0f, other), cudaSuccess);
    ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    ASSERT_EQ(cudaEventQuery(event), cudaSuccess);
    ASSERT_EQ(device_[0], 2.0f);
  }
  EXPECT_TRUE(was_first[0] && was_first[1]);
  EXPECT_EQ(cudaEventDestroy(event), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(other), cudaSuccess);
}

TEST_F(FakeCudaTest, EventsTimeTheStream) {
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  ASSERT_EQ(cudaEventCreateWithFlags(&begin, 0), cudaSuccess);
  ASSERT_EQ(cudaEventCreateWithFlags(&end, 0), cudaSuccess);
  float milliseconds = -1.0f;
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, begin, end),
            cudaErrorInvalidResourceHandle);
  ASSERT_EQ(cudaEventRecord(begin, stream_), cudaSuccess);
  ASSERT_EQ(Fill(device_, 1.0f, stream_), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(end, stream_), cudaSuccess);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, begin, end), cudaErrorNotReady);
  ASSERT_EQ(cudaEventSynchronize(end), cudaSuccess);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, begin, end), cudaSuccess);
  EXPECT_GE(milliseconds, 0.0f);
  EXPECT_EQ(cudaEventDestroy(begin), cudaSuccess);
  EXPECT_EQ(cudaEventDestroy(end), cudaSuccess);
}

TEST_F(FakeCudaTest, MemoryRunsOut) {
  ResetFakeCuda({.device_bytes = 4096});
  void* data = nullptr;
  EXPECT_EQ(cudaMalloc(&data, 4097), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMalloc(&data, SIZE_MAX), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  size_t free_bytes = 0;
  size_t total_bytes = 0;
  ASSERT_EQ(cudaMemGetInfo(&free_bytes, &total_bytes), cudaSuccess);
  EXPECT_EQ(free_bytes, 4096 - kBytes);
  EXPECT_EQ(cudaMalloc(&data, free_bytes), cudaSuccess);
  EXPECT_EQ(cudaFree(data), cudaSuccess);
}

TEST_F(FakeCudaTest, FailsTheCallThatATestNames) {
  FailCall("cudaMalloc", 2, cudaErrorMemoryAllocation);
  void* first = nullptr;
  void* second = nullptr;
  EXPECT_EQ(cudaMalloc(&first, 8), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&second, 8), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMalloc(&second, 8), cudaSuccess);
  EXPECT_EQ(cudaFree(first), cudaSuccess);
  EXPECT_EQ(cudaFree(second), cudaSuccess);
  FailCall("kernel fill", 1, cudaErrorLaunchFailure);
  EXPECT_EQ(Fill(device_, 1.0f, stream_), cudaErrorLaunchFailure);
}

TEST_F(FakeCudaTest, LostDeviceStaysLost) {
  FailDevice(0, 1, cudaErrorIllegalAddress);
  ASSERT_EQ(Fill(device_, 1.0f, stream_), cudaSuccess);
  ASSERT_EQ(Fill(device_, 2.0f, stream_), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(stream_), cudaErrorIllegalAddress);
  EXPECT_EQ(device_[0], 1.0f);
  EXPECT_EQ(Fill(device_, 3.0f, stream_), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaStreamSynchronize(stream_), cudaErrorIllegalAddress);
  ResetFakeCuda();
}

TEST_F(FakeCudaTest, LaunchesThatNoDeviceTakesAreRefused) {
  const auto launch = [&](dim3 grid, dim3 cta, size_t shared_bytes) {
    return cuda::LaunchKernel(FillKernel,
                              {.name = "fill",
                               .grid = grid,
                               .cta = cta,
                               .dynamic_shared_bytes = shared_bytes,
                               .stream = stream_},
                              device_, kCount, 1.0f);
  };
  EXPECT_EQ(launch(dim3(0), dim3(32), 0), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch(dim3(1), dim3(1025), 0), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch(dim3(1, 65536), dim3(32), 0), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch(dim3(1), dim3(32), 49153), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
}

using FakeCudaDeathTest = FakeCudaTest;

TEST_F(FakeCudaDeathTest, KernelOfHostMemory) {
  std::vector<float> pageable(kCount);
  const auto run = [&](float* values) {
    (void)Fill(values, 1.0f, stream_);
    (void)cudaStreamSynchronize(stream_);
  };
  EXPECT_DEATH(run(pageable.data()), "kernel fill: pointer 0 is not in memory");
  EXPECT_DEATH(run(host_), "kernel fill: pointer 0 is host memory");
}

TEST_F(FakeCudaDeathTest, KernelOfAnotherDevicesMemory) {
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
  float* const foreign = NewArray();
  const auto run = [&] {
    (void)cudaSetDevice(0);
    (void)Fill(foreign, 1.0f, stream_);
    (void)cudaStreamSynchronize(stream_);
  };
  EXPECT_DEATH(run(), "is on device 1, the stream on device 0");
  EXPECT_EQ(cudaFree(foreign), cudaSuccess);
}

TEST_F(FakeCudaDeathTest, CopyWithPageableMemory) {
  std::vector<float> pageable(kCount);
  const auto run = [&] {
    (void)cudaMemcpyAsync(pageable.data(), device_, kBytes,
                          cudaMemcpyDeviceToHost, stream_);
    (void)cudaStreamSynchronize(stream_);
  };
  EXPECT_DEATH(run(), "pageable memory");
}

TEST_F(FakeCudaDeathTest, CopyPastTheEnd) {
  const auto run = [&] {
    (void)cudaMemsetAsync(device_, 0, kBytes + 1, stream_);
    (void)cudaStreamSynchronize(stream_);
  };
  EXPECT_DEATH(run(), "cudaMemsetAsync's memory is not in memory");
}

TEST_F(FakeCudaDeathTest, DefaultStream) {
  EXPECT_DEATH((void)Fill(device_, 1.0f, nullptr), "default stream");
}

}  // namespace
}  // namespace blockserve
