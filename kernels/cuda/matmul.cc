#include "kernels/cuda/matmul.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/cuda/cuda_memory.h"
#include "kernels/cuda/cuda_status.h"
#include "runtime/base/status_macros.h"

namespace blockserve::cuda {
namespace {

// What cudaMalloc gives, and all that an algorithm asks for.
constexpr uint32_t kMaxAlignment = 256;

cudaDataType_t TypeOf(DType dtype) {
  return dtype == DType::kFloat32 ? CUDA_R_32F : CUDA_R_16BF;
}

uint32_t AlignmentOf(const void* data) {
  const int zeros = std::countr_zero(reinterpret_cast<uintptr_t>(data));
  return zeros >= 8 ? kMaxAlignment : 1u << zeros;
}

cublasLtEpilogue_t EpilogueOf(const MatmulProblem& problem) {
  const bool has_bias = problem.bias != nullptr;
  switch (problem.epilogue) {
    case Epilogue::kGeluTanh:
      return has_bias ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU;
    case Epilogue::kRelu:
      return has_bias ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_RELU;
    case Epilogue::kNone:
      break;
  }
  return has_bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
}

}  // namespace

// The library is column-major: to it the weight is [in_dim, out_dim], to be
// transposed, the input [in_dim, rows], the output [out_dim, rows].
struct Matmul::Layouts {
  cublasLtMatmulDescOpaque_t description;
  cublasLtMatrixLayoutOpaque_t weight;
  cublasLtMatrixLayoutOpaque_t input;
  cublasLtMatrixLayoutOpaque_t output;

  absl::Status Set(const MatmulProblem& problem) {
    const auto set = [&](cublasLtMatmulDescAttributes_t attribute,
                         const auto& value) {
      return ToStatus(cublasLtMatmulDescSetAttribute(&description, attribute,
                                                     &value, sizeof(value)),
                      "describing a product");
    };
    RETURN_IF_ERROR(ToStatus(
        cublasLtMatmulDescInit(&description, CUBLAS_COMPUTE_32F, CUDA_R_32F),
        "describing a product"));
    RETURN_IF_ERROR(
        set(CUBLASLT_MATMUL_DESC_TRANSA, static_cast<int32_t>(CUBLAS_OP_T)));
    RETURN_IF_ERROR(set(CUBLASLT_MATMUL_DESC_EPILOGUE, EpilogueOf(problem)));
    if (problem.bias != nullptr) {
      RETURN_IF_ERROR(set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, problem.bias));
    }
    const auto lay_out = [](cublasLtMatrixLayoutOpaque_t* layout, DType dtype,
                            int64_t rows, int64_t columns) {
      return ToStatus(cublasLtMatrixLayoutInit(
                          layout, TypeOf(dtype), static_cast<uint64_t>(rows),
                          static_cast<uint64_t>(columns), rows),
                      "describing a matrix");
    };
    RETURN_IF_ERROR(
        lay_out(&weight, problem.input_dtype, problem.in_dim, problem.out_dim));
    RETURN_IF_ERROR(
        lay_out(&input, problem.input_dtype, problem.in_dim, problem.rows));
    return lay_out(&output, problem.output_dtype, problem.out_dim,
                   problem.rows);
  }
};

absl::StatusOr<std::unique_ptr<Matmul>> Matmul::Create(size_t workspace_bytes) {
  ASSIGN_OR_RETURN(Buffer workspace, AllocateOnDevice(workspace_bytes));
  cublasLtHandle_t handle = nullptr;
  RETURN_IF_ERROR(ToStatus(cublasLtCreate(&handle), "starting the library"));
  return std::unique_ptr<Matmul>(new Matmul(handle, std::move(workspace)));
}

Matmul::~Matmul() { (void)cublasLtDestroy(handle_); }

Matmul::Key Matmul::KeyOf(const MatmulProblem& problem) {
  const auto bucket = std::bit_ceil(static_cast<uint64_t>(problem.rows));
  return {static_cast<int64_t>(bucket),
          problem.in_dim,
          problem.out_dim,
          static_cast<int64_t>(problem.input_dtype),
          static_cast<int64_t>(problem.output_dtype),
          static_cast<int64_t>(EpilogueOf(problem)),
          AlignmentOf(problem.weight),
          AlignmentOf(problem.input),
          AlignmentOf(problem.output)};
}

absl::StatusOr<cublasLtMatmulAlgo_t> Matmul::AlgorithmFor(
    const MatmulProblem& problem) {
  const Key key = KeyOf(problem);
  if (const auto found = algorithms_.find(key); found != algorithms_.end()) {
    return found->second;
  }
  // Chosen for the most rows of the bucket; it is right for fewer.
  MatmulProblem largest = problem;
  largest.rows = key[0];
  Layouts layouts;
  RETURN_IF_ERROR(layouts.Set(largest));
  cublasLtMatmulPreferenceOpaque_t preference;
  RETURN_IF_ERROR(ToStatus(cublasLtMatmulPreferenceInit(&preference),
                           "choosing an algorithm"));
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute,
                          const auto& value) {
    return ToStatus(cublasLtMatmulPreferenceSetAttribute(&preference, attribute,
                                                         &value, sizeof(value)),
                    "choosing an algorithm");
  };
  const auto workspace_bytes = static_cast<uint64_t>(workspace_.num_bytes());
  RETURN_IF_ERROR(
      prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_bytes));
  for (const auto& [attribute, data] :
       {std::pair{CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, problem.weight},
        std::pair{CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, problem.input},
        std::pair{CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
                  static_cast<const void*>(problem.output)},
        std::pair{CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
                  static_cast<const void*>(problem.output)}}) {
    RETURN_IF_ERROR(prefer(attribute, AlignmentOf(data)));
  }
  cublasLtMatmulHeuristicResult_t result = {};
  int num_found = 0;
  RETURN_IF_ERROR(ToStatus(cublasLtMatmulAlgoGetHeuristic(
                               handle_, &layouts.description, &layouts.weight,
                               &layouts.input, &layouts.output, &layouts.output,
                               &preference, 1, &result, &num_found),
                           "choosing an algorithm"));
  if (num_found == 0) {
    return absl::InternalError(
        absl::StrCat("cuBLASLt has no algorithm for ", problem.rows, " x ",
                     problem.in_dim, " -> ", problem.out_dim, " in ",
                     std::string(NameOf(problem.input_dtype))));
  }
  algorithms_.emplace(key, result.algo);
  return result.algo;
}

absl::Status Matmul::Multiply(const MatmulProblem& problem,
                              cudaStream_t stream) {
  ASSIGN_OR_RETURN(const cublasLtMatmulAlgo_t algorithm, AlgorithmFor(problem));
  Layouts layouts;
  RETURN_IF_ERROR(layouts.Set(problem));
  const float alpha = 1.0f;
  const float beta = problem.accumulate ? 1.0f : 0.0f;
  return ToStatus(
      cublasLtMatmul(handle_, &layouts.description, &alpha, problem.weight,
                     &layouts.weight, problem.input, &layouts.input, &beta,
                     problem.output, &layouts.output, problem.output,
                     &layouts.output, &algorithm, workspace_.data(),
                     workspace_.num_bytes(), stream),
      "multiplying");
}

}  // namespace blockserve::cuda
