#include "kernels/cuda_host/fake_cublaslt.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/cuda_host/fake_cuda.h"

namespace blockserve {
namespace {

constexpr int kOut = 3;
constexpr int kIn = 2;
constexpr int kRows = 2;

// D [rows, out] = X [rows, in] W [out, in]^T + bias, all row-major: to cuBLASLt
// D^T = op(W^T) X^T, column-major.
class FakeCublasLtTest : public testing::Test {
 protected:
  void SetUp() override {
    ResetFakeCuda();
    ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
    ASSERT_EQ(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking),
              cudaSuccess);
    ASSERT_EQ(cublasLtCreate(&handle_), CUBLAS_STATUS_SUCCESS);
    ASSERT_EQ(
        cublasLtMatmulDescInit(&description_, CUBLAS_COMPUTE_32F, CUDA_R_32F),
        CUBLAS_STATUS_SUCCESS);
    const int32_t transposed = CUBLAS_OP_T;
    ASSERT_EQ(Set(CUBLASLT_MATMUL_DESC_TRANSA, transposed),
              CUBLAS_STATUS_SUCCESS);
    ASSERT_EQ(cublasLtMatrixLayoutInit(&w_, CUDA_R_32F, kIn, kOut, kIn),
              CUBLAS_STATUS_SUCCESS);
    ASSERT_EQ(cublasLtMatrixLayoutInit(&x_, CUDA_R_32F, kIn, kRows, kIn),
              CUBLAS_STATUS_SUCCESS);
    ASSERT_EQ(cublasLtMatrixLayoutInit(&d_, CUDA_R_32F, kOut, kRows, kOut),
              CUBLAS_STATUS_SUCCESS);
    ASSERT_EQ(cublasLtMatmulPreferenceInit(&preference_),
              CUBLAS_STATUS_SUCCESS);
    w_data_ = Upload({1, 2, 3, 4, 5, 6});
    x_data_ = Upload({1, 10, -1, 0});
    bias_ = Upload({0.5f, 0, 0});
    d_data_ = Upload({100, 100, 100, 100, 100, 100});
  }
  void TearDown() override {
    EXPECT_EQ(cudaStreamDestroy(stream_), cudaSuccess);
    for (float* data : {w_data_, x_data_, bias_, d_data_}) {
      EXPECT_EQ(cudaFree(data), cudaSuccess);
    }
    EXPECT_EQ(cublasLtDestroy(handle_), CUBLAS_STATUS_SUCCESS);
  }

  // Device memory is memory of the host here.
  static float* Upload(const std::vector<float>& values) {
    void* data = nullptr;
    EXPECT_EQ(cudaMalloc(&data, values.size() * sizeof(float)), cudaSuccess);
    std::copy(values.begin(), values.end(), static_cast<float*>(data));
    return static_cast<float*>(data);
  }
  template <typename T>
  cublasStatus_t Set(cublasLtMatmulDescAttributes_t attribute, T value) {
    return cublasLtMatmulDescSetAttribute(&description_, attribute, &value,
                                          sizeof(value));
  }
  cublasStatus_t Find() {
    int found = 0;
    return cublasLtMatmulAlgoGetHeuristic(handle_, &description_, &w_, &x_, &d_,
                                          &d_, &preference_, 1, &result_,
                                          &found);
  }
  cublasStatus_t Multiply(float beta, const float* x) {
    const float one = 1.0f;
    return cublasLtMatmul(handle_, &description_, &one, w_data_, &w_, x, &x_,
                          &beta, d_data_, &d_, d_data_, &d_, &result_.algo,
                          nullptr, 0, stream_);
  }
  std::vector<float> Result() {
    EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
    return {d_data_, d_data_ + kRows * kOut};
  }

  cudaStream_t stream_ = nullptr;
  cublasLtHandle_t handle_ = nullptr;
  cublasLtMatmulDescOpaque_t description_ = {};
  cublasLtMatrixLayoutOpaque_t w_ = {}, x_ = {}, d_ = {};
  cublasLtMatmulPreferenceOpaque_t preference_ = {};
  cublasLtMatmulHeuristicResult_t result_ = {};
  float *w_data_ = nullptr, *x_data_ = nullptr, *bias_ = nullptr,
        *d_data_ = nullptr;
};

TEST_F(FakeCublasLtTest, Multiplies) {
  ASSERT_EQ(Find(), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(Multiply(0.0f, x_data_), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(Result(), (std::vector<float>{21, 43, 65, -1, -3, -5}));
}

TEST_F(FakeCublasLtTest, AddsBiasAndWhatWasThere) {
  ASSERT_EQ(Set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS),
            CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(
      Set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<const void*>(bias_)),
      CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(Find(), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(Multiply(1.0f, x_data_), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(Result(), (std::vector<float>{121.5f, 143, 165, 99.5f, 97, 95}));
}

TEST_F(FakeCublasLtTest, Activates) {
  ASSERT_EQ(Set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_RELU),
            CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(Find(), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(Multiply(0.0f, x_data_), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(Result(), (std::vector<float>{21, 43, 65, 0, 0, 0}));
  ASSERT_EQ(Set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_GELU),
            CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(Find(), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(Multiply(0.0f, x_data_), CUBLAS_STATUS_SUCCESS);
  EXPECT_NEAR(Result()[3], -0.158808f, 1e-5);  // the tanh form of -1
}

TEST_F(FakeCublasLtTest, RefusesWhatDoesNotFit) {
  ASSERT_EQ(Find(), CUBLAS_STATUS_SUCCESS);
  // The algorithm of another epilogue.
  ASSERT_EQ(Set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_RELU),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(Multiply(0.0f, x_data_), CUBLAS_STATUS_INVALID_VALUE);
  ASSERT_EQ(Find(), CUBLAS_STATUS_SUCCESS);
  // Less aligned than promised: 256 bytes unless the preference says so.
  EXPECT_EQ(Multiply(0.0f, x_data_ + 1), CUBLAS_STATUS_INVALID_VALUE);
  // An attribute of another size.
  EXPECT_EQ(Set(CUBLASLT_MATMUL_DESC_TRANSB, int64_t{0}),
            CUBLAS_STATUS_INVALID_VALUE);
  // Extents.
  cublasLtMatrixLayoutOpaque_t other = {};
  ASSERT_EQ(cublasLtMatrixLayoutInit(&other, CUDA_R_32F, kIn, kRows + 1, kIn),
            CUBLAS_STATUS_SUCCESS);
  std::swap(other, x_);
  EXPECT_EQ(Find(), CUBLAS_STATUS_INVALID_VALUE);
  std::swap(other, x_);
  // fp32 times bf16.
  ASSERT_EQ(cublasLtMatrixLayoutInit(&other, CUDA_R_16BF, kIn, kRows, kIn),
            CUBLAS_STATUS_SUCCESS);
  std::swap(other, x_);
  EXPECT_EQ(Find(), CUBLAS_STATUS_NOT_SUPPORTED);
  std::swap(other, x_);
}

TEST_F(FakeCublasLtTest, OperandsMustBeMemoryOfTheDevice) {
  ASSERT_EQ(Find(), CUBLAS_STATUS_SUCCESS);
  alignas(256) static const float host[kRows * kIn] = {};
  const auto run = [&] {
    (void)Multiply(0.0f, host);
    (void)cudaStreamSynchronize(stream_);
  };
  EXPECT_DEATH(run(), "cublasLtMatmul: B is not in memory");
}

}  // namespace
}  // namespace blockserve
