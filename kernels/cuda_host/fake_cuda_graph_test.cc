// Captures and graphs of the fake CUDA.
#include <gtest/gtest.h>

#include <string>

#include "kernels/cuda_host/device_code.h"
#include "kernels/cuda_host/fake_cuda.h"

namespace blockserve {
namespace {

// values[0] = values[0] * factor + summand
__global__ void StepKernel(float* values, float factor, float summand) {
  values[0] = values[0] * factor + summand;
}

class FakeCudaGraphTest : public testing::Test {
 protected:
  void SetUp() override {
    ResetFakeCuda();
    EXPECT_EQ(cudaSetDevice(0), cudaSuccess);
    for (cudaStream_t* stream : {&stream_, &side_}) {
      EXPECT_EQ(cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking),
                cudaSuccess);
    }
    for (cudaEvent_t* event : {&fork_, &join_}) {
      EXPECT_EQ(cudaEventCreateWithFlags(event, cudaEventDisableTiming),
                cudaSuccess);
    }
    values_ = NewFloat();
    other_ = NewFloat();
  }
  void TearDown() override {
    for (cudaStream_t stream : {stream_, side_}) {
      EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
    }
    for (cudaEvent_t event : {fork_, join_}) {
      EXPECT_EQ(cudaEventDestroy(event), cudaSuccess);
    }
    EXPECT_EQ(cudaFree(values_), cudaSuccess);
    EXPECT_EQ(cudaFree(other_), cudaSuccess);
  }

  float* NewFloat() {
    void* data = nullptr;
    EXPECT_EQ(cudaMalloc(&data, sizeof(float)), cudaSuccess);
    EXPECT_EQ(cudaMemsetAsync(data, 0, sizeof(float), stream_), cudaSuccess);
    EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
    return static_cast<float*>(data);
  }
  static cudaError_t Step(float* values, float factor, float summand,
                          cudaStream_t stream) {
    return cuda::LaunchKernel(
        StepKernel,
        {.name = "step", .grid = dim3(1), .cta = dim3(1), .stream = stream},
        values, factor, summand);
  }
  void Begin() {
    ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal),
              cudaSuccess);
  }
  cudaGraphExec_t End() {
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
    if (graph == nullptr) return nullptr;
    cudaGraphExec_t executable = nullptr;
    EXPECT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    return executable;
  }
  cudaError_t EndWithError() {
    cudaGraph_t graph = nullptr;
    const cudaError_t error = cudaStreamEndCapture(stream_, &graph);
    EXPECT_EQ(graph, nullptr);
    return error;
  }

  cudaStream_t stream_ = nullptr;
  cudaStream_t side_ = nullptr;
  cudaEvent_t fork_ = nullptr;
  cudaEvent_t join_ = nullptr;
  float* values_ = nullptr;
  float* other_ = nullptr;
};

TEST_F(FakeCudaGraphTest, ReplaysWhatWasCaptured) {
  Begin();
  float summand = 1.0f;
  ASSERT_EQ(Step(values_, 2.0f, summand, stream_), cudaSuccess);
  summand = 100.0f;  // arguments were copied
  ASSERT_EQ(Step(values_, 1.0f, 10.0f, stream_), cudaSuccess);
  const cudaGraphExec_t graph = End();
  ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  EXPECT_EQ(values_[0], 0.0f);  // nothing ran yet
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(cudaGraphLaunch(graph, stream_), cudaSuccess);
  }
  ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  EXPECT_EQ(values_[0], 77.0f);  // 0 -> 11 -> 33 -> 77
  EXPECT_EQ(CountsOfFakeCuda().kernels.at("step"), 6);
  EXPECT_EQ(CountsOfFakeCuda().num_graph_launches, 3);
  EXPECT_EQ(cudaGraphExecDestroy(graph), cudaSuccess);
}

TEST_F(FakeCudaGraphTest, ForksAndJoins) {
  Begin();
  ASSERT_EQ(Step(values_, 1.0f, 1.0f, stream_), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(fork_, stream_), cudaSuccess);
  ASSERT_EQ(cudaStreamWaitEvent(side_, fork_, 0), cudaSuccess);
  ASSERT_EQ(Step(other_, 1.0f, 5.0f, side_), cudaSuccess);
  ASSERT_EQ(Step(values_, 3.0f, 0.0f, stream_), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(join_, side_), cudaSuccess);
  ASSERT_EQ(cudaStreamWaitEvent(stream_, join_, 0), cudaSuccess);
  ASSERT_EQ(Step(other_, 2.0f, 0.0f, stream_), cudaSuccess);
  const cudaGraphExec_t graph = End();
  ASSERT_EQ(cudaGraphLaunch(graph, stream_), cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  EXPECT_EQ(values_[0], 3.0f);
  EXPECT_EQ(other_[0], 10.0f);
  EXPECT_EQ(cudaGraphExecDestroy(graph), cudaSuccess);
}

TEST_F(FakeCudaGraphTest, ForkThatIsNotJoinedIsRefused) {
  Begin();
  ASSERT_EQ(cudaEventRecord(fork_, stream_), cudaSuccess);
  ASSERT_EQ(cudaStreamWaitEvent(side_, fork_, 0), cudaSuccess);
  ASSERT_EQ(Step(other_, 1.0f, 5.0f, side_), cudaSuccess);
  EXPECT_EQ(EndWithError(), cudaErrorStreamCaptureUnjoined);
}

TEST_F(FakeCudaGraphTest, AllocatingOrWaitingInvalidatesACapture) {
  Begin();
  void* data = nullptr;
  EXPECT_EQ(cudaMalloc(&data, 8), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(EndWithError(), cudaErrorStreamCaptureInvalidated);
  Begin();
  EXPECT_EQ(cudaStreamSynchronize(stream_), cudaErrorStreamCaptureUnsupported);
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  EXPECT_EQ(cudaStreamIsCapturing(stream_, &status), cudaSuccess);
  EXPECT_EQ(status, cudaStreamCaptureStatusInvalidated);
  EXPECT_EQ(EndWithError(), cudaErrorStreamCaptureInvalidated);
}

TEST_F(FakeCudaGraphTest, FreedMemoryIsFoundAtTheReplay) {
  Begin();
  float* const freed = other_;
  ASSERT_EQ(Step(freed, 1.0f, 1.0f, stream_), cudaSuccess);
  const cudaGraphExec_t graph = End();
  ASSERT_EQ(cudaGraphLaunch(graph, stream_), cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  const auto replay = [&] {
    (void)cudaFree(freed);
    (void)cudaGraphLaunch(graph, stream_);
    (void)cudaStreamSynchronize(stream_);
  };
  EXPECT_DEATH(replay(), "kernel step: pointer 0 is not in memory");
  EXPECT_EQ(cudaGraphExecDestroy(graph), cudaSuccess);
}

}  // namespace
}  // namespace blockserve
