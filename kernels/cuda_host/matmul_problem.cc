#include "kernels/cuda_host/matmul_problem.h"

#include <cuda_bf16.h>

#include <cmath>
#include <vector>

namespace blockserve::cuda_host {
namespace {

float Load(const void* data, cudaDataType_t type, uint64_t i) {
  if (type == CUDA_R_32F) return static_cast<const float*>(data)[i];
  return __bfloat162float(static_cast<const __nv_bfloat16*>(data)[i]);
}

void Store(float value, void* data, cudaDataType_t type, uint64_t i) {
  if (type == CUDA_R_32F) {
    static_cast<float*>(data)[i] = value;
  } else {
    static_cast<__nv_bfloat16*>(data)[i] = __float2bfloat16(value);
  }
}

// [vectors][inner]: what the inner products run over, side by side.
std::vector<float> Unpack(const void* data, const MatrixLayout& layout,
                          bool inner_is_rows) {
  const uint64_t vectors = inner_is_rows ? layout.columns : layout.rows;
  const uint64_t inner = inner_is_rows ? layout.rows : layout.columns;
  std::vector<float> values(vectors * inner);
  for (uint64_t v = 0; v < vectors; ++v) {
    for (uint64_t k = 0; k < inner; ++k) {
      const uint64_t row = inner_is_rows ? k : v;
      const uint64_t column = inner_is_rows ? v : k;
      values[v * inner + k] =
          Load(data, layout.type, column * layout.leading_dimension + row);
    }
  }
  return values;
}

// As many sums as fill a vector register or two.
float Dot(const float* a, const float* b, uint64_t count) {
  constexpr int kSums = 16;
  float sums[kSums] = {};
  uint64_t k = 0;
  for (; k + kSums <= count; k += kSums) {
    for (int i = 0; i < kSums; ++i) sums[i] += a[k + i] * b[k + i];
  }
  float rest = 0.0f;
  for (; k < count; ++k) rest += a[k] * b[k];
  for (int width = kSums / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) sums[i] += sums[i + width];
  }
  return sums[0] + rest;
}

float GeluTanh(float x) {
  const float inner = 0.7978845608f * (x + 0.044715f * x * x * x);
  return 0.5f * x * (1.0f + std::tanh(inner));
}

float Activate(float x, cublasLtEpilogue_t epilogue) {
  switch (epilogue) {
    case CUBLASLT_EPILOGUE_GELU:
    case CUBLASLT_EPILOGUE_GELU_BIAS:
      return GeluTanh(x);
    case CUBLASLT_EPILOGUE_RELU:
    case CUBLASLT_EPILOGUE_RELU_BIAS:
      return x < 0.0f ? 0.0f : x;
    default:
      return x;
  }
}

}  // namespace

size_t SizeOfElement(cudaDataType_t type) { return type == CUDA_R_32F ? 4 : 2; }

size_t MatrixLayout::num_bytes() const {
  if (rows == 0 || columns == 0) return 0;
  return ((columns - 1) * leading_dimension + rows) * SizeOfElement(type);
}

bool MatmulProblem::has_bias() const {
  return description.epilogue == CUBLASLT_EPILOGUE_BIAS ||
         description.epilogue == CUBLASLT_EPILOGUE_GELU_BIAS ||
         description.epilogue == CUBLASLT_EPILOGUE_RELU_BIAS;
}

// The library has a bias of D's type only.
size_t MatmulProblem::bias_bytes() const {
  return d.rows * SizeOfElement(d.type);
}

cublasStatus_t MatmulProblem::Check() const {
  const uint64_t a_rows = description.is_a_transposed ? a.columns : a.rows;
  const uint64_t b_inner = description.is_b_transposed ? b.columns : b.rows;
  const uint64_t b_columns = description.is_b_transposed ? b.rows : b.columns;
  if (a_rows != d.rows || b_columns != d.columns || b_inner != inner() ||
      c.rows != d.rows || c.columns != d.columns || rows() == 0 ||
      columns() == 0 || inner() == 0) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  for (const MatrixLayout* layout : {&a, &b, &c, &d}) {
    if (layout->leading_dimension < static_cast<int64_t>(layout->rows)) {
      return CUBLAS_STATUS_INVALID_VALUE;
    }
  }
  const bool is_float = a.type == CUDA_R_32F && d.type == CUDA_R_32F;
  const bool is_narrow = a.type == CUDA_R_16BF;
  if (a.type != b.type || c.type != d.type || (!is_float && !is_narrow)) {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  return CUBLAS_STATUS_SUCCESS;
}

uint64_t MatmulProblem::Fingerprint() const {
  uint64_t hash = 0;
  for (const uint64_t part :
       {static_cast<uint64_t>(a.type), static_cast<uint64_t>(d.type), rows(),
        inner(), static_cast<uint64_t>(description.epilogue),
        static_cast<uint64_t>(description.is_a_transposed),
        static_cast<uint64_t>(description.is_b_transposed),
        static_cast<uint64_t>(a.leading_dimension),
        static_cast<uint64_t>(b.leading_dimension),
        static_cast<uint64_t>(d.leading_dimension)}) {
    hash = (hash ^ part) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 29;
  }
  return hash;
}

void MatmulProblem::Run(const void* a_data, const void* b_data,
                        const void* c_data, void* d_data, float beta) const {
  const std::vector<float> a_vectors =
      Unpack(a_data, a, description.is_a_transposed);
  const std::vector<float> b_vectors =
      Unpack(b_data, b, !description.is_b_transposed);
  for (uint64_t column = 0; column < columns(); ++column) {
    for (uint64_t row = 0; row < rows(); ++row) {
      float value =
          Dot(&a_vectors[row * inner()], &b_vectors[column * inner()], inner());
      if (beta != 0.0f) {
        value +=
            beta * Load(c_data, c.type, column * c.leading_dimension + row);
      }
      if (has_bias()) value += Load(description.bias, d.type, row);
      Store(Activate(value, description.epilogue), d_data, d.type,
            column * d.leading_dimension + row);
    }
  }
}

}  // namespace blockserve::cuda_host
