// What the CUDA backend does besides computing: copies, waits, failures.
#include "kernels/cuda/cuda_ops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "kernels/cuda_host/fake_cublaslt.h"
#include "kernels/cuda_host/fake_cuda.h"

namespace blockserve {
namespace {

constexpr CudaOptions kSmall = {.dtype = DType::kFloat32,
                                .workspace_bytes = 4096,
                                .scratch_bytes = 4096,
                                .staging_bytes = 4096};

class CudaOpsTest : public testing::Test {
 protected:
  void SetUp() override { Start(kSmall); }
  void TearDown() override {
    ops_.reset();
    ResetFakeCuda();
  }

  void Start(const CudaOptions& options) {
    ops_.reset();
    ResetFakeCuda();
    auto ops = CudaOps::Create(options);
    ASSERT_TRUE(ops.ok()) << ops.status();
    ops_ = *std::move(ops);
  }
  Buffer Allocate(size_t num_bytes) {
    auto buffer = ops_->Allocate(num_bytes);
    EXPECT_TRUE(buffer.ok()) << buffer.status();
    return buffer.ok() ? *std::move(buffer) : Buffer();
  }

  std::unique_ptr<CudaOps> ops_;
};

TEST_F(CudaOpsTest, CopiesWhatWasThereAtTheCall) {
  const Buffer device = Allocate(400);
  std::vector<float> values(100, 1.0f);
  ops_->CopyToDevice(values.data(), device.data(), 400);
  values.assign(100, 2.0f);  // may be gone
  std::vector<float> back(100);
  ops_->CopyToHost(device.data(), back.data(), 400);
  EXPECT_EQ(back[0], 0.0f);
  ASSERT_TRUE(ops_->Synchronize().ok());
  EXPECT_EQ(back, std::vector<float>(100, 1.0f));
}

TEST_F(CudaOpsTest, CopiesMoreThanIsStaged) {
  constexpr size_t kCount = 5000;  // 20000 bytes by way of 4096
  const Buffer device = Allocate(kCount * sizeof(int32_t));
  std::vector<int32_t> values(kCount);
  std::iota(values.begin(), values.end(), 0);
  ops_->CopyToDevice(values.data(), device.data(), device.num_bytes());
  std::vector<int32_t> back(kCount);
  ops_->CopyToHost(device.data(), back.data(), device.num_bytes());
  ASSERT_TRUE(ops_->Synchronize().ok());
  EXPECT_EQ(back, values);
}

// What a step does: arrays there, kernels, tokens back, one wait.
TEST_F(CudaOpsTest, WaitsForTheDeviceInSynchronizeOnly) {
  constexpr int64_t kVocabSize = 16;
  const std::vector<float> weight(kVocabSize * 4, 0.5f);
  auto head = ops_->PackMatrix(weight.data(), kVocabSize, 4);
  ASSERT_TRUE(head.ok());
  ASSERT_TRUE(
      ops_->Reserve(
              {.max_rows = 2, .max_sample_rows = 2, .vocab_size = kVocabSize})
          .ok());
  const Buffer input = Allocate(2 * 4 * sizeof(float));
  const Buffer tokens = Allocate(2 * 3 * sizeof(int32_t));
  ASSERT_TRUE(ops_->Synchronize().ok());
  const int64_t waits = CountsOfFakeCuda().num_waits;
  const int64_t allocations = CountsOfFakeCuda().num_allocations;
  const std::vector<float> values(8, 1.0f);
  std::vector<int32_t> back(6, -7);
  const std::vector<SampleRow> rows(2);
  ops_->CopyToDevice(values.data(), input.data(), input.num_bytes());
  for (int offset = 0; offset < 3; ++offset) {
    ops_->SampleTokens(input.View(DType::kFloat32, {2, 4}), **head,
                       {.rows = rows,
                        .offset = offset,
                        .tokens = tokens.View(DType::kInt32, {2, 3})});
  }
  ops_->CopyToHost(tokens.data(), back.data(), tokens.num_bytes());
  EXPECT_EQ(CountsOfFakeCuda().num_waits, waits);
  EXPECT_EQ(CountsOfFakeCuda().num_allocations, allocations);
  ASSERT_TRUE(ops_->Synchronize().ok());
  EXPECT_EQ(CountsOfFakeCuda().num_waits, waits + 1);
  EXPECT_EQ(back, std::vector<int32_t>(6, 0));
  EXPECT_EQ(CountsOfFakeCuda().kernels.at("sample"), 3);
}

TEST_F(CudaOpsTest, LooksForAnAlgorithmOncePerPowerOfTwoOfRows) {
  const std::vector<float> weight(8 * 8, 1.0f);
  auto matrix = ops_->PackMatrix(weight.data(), 8, 8);
  ASSERT_TRUE(matrix.ok());
  const Buffer input = Allocate(64 * 8 * sizeof(float));
  const Buffer output = Allocate(64 * 8 * sizeof(float));
  const int64_t before = NumMatmulHeuristics();
  for (int64_t rows = 1; rows <= 64; ++rows) {
    ops_->Linear({.input = input.View(DType::kFloat32, {rows, 8}),
                  .weight = matrix->get(),
                  .output = output.View(DType::kFloat32, {rows, 8})});
  }
  ASSERT_TRUE(ops_->Synchronize().ok());
  EXPECT_EQ(NumMatmulHeuristics() - before, 7);  // 1, 2, 4, ... 64
}

TEST_F(CudaOpsTest, FailureOfAKernelIsKept) {
  const Buffer a = Allocate(64);
  const Buffer b = Allocate(64);
  FailCall("kernel cast", 1, cudaErrorLaunchFailure);
  const auto cast = [&] {
    ops_->Cast(a.View(DType::kFloat32, {4}), b.View(DType::kFloat32, {4}));
  };
  cast();
  cast();  // does nothing
  for (int i = 0; i < 2; ++i) {
    const absl::Status status = ops_->Synchronize();
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
    EXPECT_NE(status.message().find("launching cast"), absl::string_view::npos)
        << status;
  }
  EXPECT_EQ(CountsOfFakeCuda().num_kernels(), 0);
}

TEST_F(CudaOpsTest, FailureOfTheLibraryIsKept) {
  const std::vector<float> weight(4, 1.0f);
  auto matrix = ops_->PackMatrix(weight.data(), 2, 2);
  ASSERT_TRUE(matrix.ok());
  const Buffer a = Allocate(64);
  const Buffer b = Allocate(64);
  FailMatmul(1);
  ops_->Linear({.input = a.View(DType::kFloat32, {1, 2}),
                .weight = matrix->get(),
                .output = b.View(DType::kFloat32, {1, 2})});
  const absl::Status status = ops_->Synchronize();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_NE(status.message().find("cuBLASLt: multiplying"),
            absl::string_view::npos)
      << status;
}

TEST_F(CudaOpsTest, LostDeviceIsNoticedWhenItIsAwaited) {
  const Buffer a = Allocate(64);
  const Buffer b = Allocate(64);
  ASSERT_TRUE(ops_->Synchronize().ok());
  FailDevice(0, 0, cudaErrorIllegalAddress);
  ops_->Cast(a.View(DType::kFloat32, {4}), b.View(DType::kFloat32, {4}));
  EXPECT_EQ(ops_->Synchronize().code(), absl::StatusCode::kInternal);
}

TEST_F(CudaOpsTest, SaysWhenThereIsNoMemory) {
  FailCall("cudaMalloc", 1, cudaErrorMemoryAllocation);
  EXPECT_EQ(ops_->Allocate(64).status().code(),
            absl::StatusCode::kResourceExhausted);
  // Which is no failure of the device.
  EXPECT_TRUE(ops_->Synchronize().ok());
}

TEST(CudaOpsCreateTest, SaysWhatIsMissing) {
  ResetFakeCuda({.num_devices = 1});
  CudaOptions options = kSmall;
  options.device_ordinal = 1;
  EXPECT_EQ(CudaOps::Create(options).status().code(),
            absl::StatusCode::kFailedPrecondition);
  FailCall("cudaGetDeviceCount", 1, cudaErrorInsufficientDriver);
  EXPECT_EQ(CudaOps::Create(kSmall).status().code(),
            absl::StatusCode::kFailedPrecondition);
  options = kSmall;
  options.dtype = DType::kFloat16;
  EXPECT_EQ(CudaOps::Create(options).status().code(),
            absl::StatusCode::kInvalidArgument);
  ResetFakeCuda({.device_bytes = 5000});
  EXPECT_EQ(CudaOps::Create(kSmall).status().code(),
            absl::StatusCode::kResourceExhausted);
  ResetFakeCuda();
  EXPECT_EQ(DeviceBytesInUse(), 0u);
}

// The device of a call is the Ops' own, whatever the thread used last.
TEST(CudaOpsCreateTest, WorksOnItsDeviceFromAnyThread) {
  ResetFakeCuda({.num_devices = 2});
  CudaOptions options = kSmall;
  options.device_ordinal = 1;
  auto ops = CudaOps::Create(options);
  ASSERT_TRUE(ops.ok());
  EXPECT_NE((*ops)->Describe().find("device 1"), std::string::npos);
  ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
  auto a = (*ops)->Allocate(64);
  ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
  auto b = (*ops)->Allocate(64);
  ASSERT_TRUE(a.ok() && b.ok());
  ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
  (*ops)->Cast(a->View(DType::kFloat32, {4}), b->View(DType::kFloat32, {4}));
  EXPECT_TRUE((*ops)->Synchronize().ok());
}

}  // namespace
}  // namespace blockserve
