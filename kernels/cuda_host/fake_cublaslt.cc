#include "kernels/cuda_host/fake_cublaslt.h"

#include <cublasLt.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <new>
#include <string>
#include <type_traits>

#include "kernels/cuda_host/failure.h"
#include "kernels/cuda_host/fake_runtime.h"
#include "kernels/cuda_host/matmul_problem.h"
#include "kernels/cuda_host/poison.h"

using blockserve::cuda_host::DeviceOf;
using blockserve::cuda_host::Fail;
using blockserve::cuda_host::FakeRuntime;
using blockserve::cuda_host::MatmulDescription;
using blockserve::cuda_host::MatmulProblem;
using blockserve::cuda_host::MatrixLayout;
using blockserve::cuda_host::Poison;

namespace {

std::atomic<int64_t> num_heuristics = 0;
std::atomic<int> matmuls_until_failure = 0;

// What the algorithm of a problem needs of the workspace, if it may.
constexpr size_t kWantedWorkspaceBytes = 4096;

struct Preference {
  size_t max_workspace_bytes = 0;
  uint32_t alignment[4] = {256, 256, 256, 256};  // of A, B, C, D
};

// What the fake keeps in the library's opaque cublasLtMatmulAlgo_t.
struct Algorithm {
  uint64_t fingerprint = 0;
  uint64_t workspace_bytes = 0;
  uint32_t alignment[4] = {};
};
static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t));

MatmulProblem ProblemOf(cublasLtMatmulDesc_t description,
                        cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                        cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d) {
  const auto layout = [](cublasLtMatrixLayout_t opaque) {
    return *reinterpret_cast<const MatrixLayout*>(opaque);
  };
  return {*reinterpret_cast<const MatmulDescription*>(description), layout(a),
          layout(b), layout(c), layout(d)};
}

// Puts `value` where the caller has room for the library's own struct.
template <typename T>
cublasStatus_t MakeIn(void* opaque, size_t num_bytes, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (num_bytes < sizeof(T)) return CUBLAS_STATUS_ALLOC_FAILED;
  new (opaque) T(value);
  return CUBLAS_STATUS_SUCCESS;
}

template <typename T>
cublasStatus_t SetTo(const void* value, size_t num_bytes, T* attribute) {
  if (num_bytes != sizeof(T)) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(attribute, value, sizeof(T));
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t SetOperation(const void* value, size_t num_bytes,
                            bool* is_transposed) {
  int32_t operation = 0;
  const cublasStatus_t status = SetTo(value, num_bytes, &operation);
  *is_transposed = operation == CUBLAS_OP_T;
  return status;
}

bool IsAligned(const void* data, uint32_t alignment) {
  return reinterpret_cast<uintptr_t>(data) % alignment == 0;
}

// The pointers of one product.
struct Operands {
  const void* a = nullptr;
  const void* b = nullptr;
  const void* c = nullptr;
  void* d = nullptr;
  void* workspace = nullptr;
  size_t workspace_bytes = 0;
  float beta = 0.0f;
};

void CheckMemory(const MatmulProblem& problem, const Operands& operands,
                 int device) {
  FakeRuntime& runtime = FakeRuntime::Get();
  const std::lock_guard<std::mutex> lock(runtime.mutex);
  ++runtime.counts.num_matmuls;
  const auto check = [&](const void* data, size_t num_bytes, const char* what) {
    runtime.memory.Check(data, num_bytes, device,
                         std::string("cublasLtMatmul: ") + what);
  };
  check(operands.a, problem.a.num_bytes(), "A");
  check(operands.b, problem.b.num_bytes(), "B");
  check(operands.d, problem.d.num_bytes(), "D");
  if (operands.beta != 0.0f) check(operands.c, problem.c.num_bytes(), "C");
  if (problem.has_bias()) {
    check(problem.description.bias, problem.bias_bytes(), "the bias");
  }
  if (operands.workspace_bytes > 0) {
    check(operands.workspace, operands.workspace_bytes, "the workspace");
  }
}

}  // namespace

namespace blockserve {

int64_t NumMatmulHeuristics() { return num_heuristics; }
void FailMatmul(int nth) { matmuls_until_failure = nth; }

}  // namespace blockserve

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = reinterpret_cast<cublasLtHandle_t>(new int(0));
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete reinterpret_cast<int*>(handle);
  return CUBLAS_STATUS_SUCCESS;
}
const char* cublasLtGetStatusString(cublasStatus_t status) {
  thread_local std::string text;
  text = "cuBLAS status " + std::to_string(status) + " (fake)";
  return text.c_str();
}

cublasStatus_t cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t opaque,
                                               size_t size,
                                               cublasComputeType_t compute_type,
                                               cudaDataType_t scale_type) {
  if (compute_type != CUBLAS_COMPUTE_32F || scale_type != CUDA_R_32F) {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  return MakeIn(opaque, size, MatmulDescription());
}
cublasStatus_t cublasLtMatmulDescSetAttribute(
    cublasLtMatmulDesc_t opaque, cublasLtMatmulDescAttributes_t attribute,
    const void* value, size_t num_bytes) {
  auto& description = *reinterpret_cast<MatmulDescription*>(opaque);
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return SetOperation(value, num_bytes, &description.is_a_transposed);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return SetOperation(value, num_bytes, &description.is_b_transposed);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return SetTo(value, num_bytes, &description.epilogue);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return SetTo(value, num_bytes, &description.bias);
    default:
      return CUBLAS_STATUS_NOT_SUPPORTED;
  }
}

cublasStatus_t cublasLtMatrixLayoutInit_internal(cublasLtMatrixLayout_t opaque,
                                                 size_t size, cudaDataType type,
                                                 uint64_t rows,
                                                 uint64_t columns,
                                                 int64_t leading_dimension) {
  return MakeIn(opaque, size,
                MatrixLayout{type, rows, columns, leading_dimension});
}

cublasStatus_t cublasLtMatmulPreferenceInit_internal(
    cublasLtMatmulPreference_t opaque, size_t size) {
  return MakeIn(opaque, size, Preference());
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(
    cublasLtMatmulPreference_t opaque,
    cublasLtMatmulPreferenceAttributes_t attribute, const void* value,
    size_t num_bytes) {
  auto& preference = *reinterpret_cast<Preference*>(opaque);
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return SetTo(value, num_bytes, &preference.max_workspace_bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
      return SetTo(value, num_bytes, &preference.alignment[0]);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
      return SetTo(value, num_bytes, &preference.alignment[1]);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
      return SetTo(value, num_bytes, &preference.alignment[2]);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return SetTo(value, num_bytes, &preference.alignment[3]);
    default:
      return CUBLAS_STATUS_NOT_SUPPORTED;
  }
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(
    cublasLtHandle_t, cublasLtMatmulDesc_t description,
    cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
    cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
    cublasLtMatmulPreference_t opaque, int wanted,
    cublasLtMatmulHeuristicResult_t results[], int* found) {
  ++num_heuristics;
  *found = 0;
  if (wanted < 1) return CUBLAS_STATUS_INVALID_VALUE;
  const MatmulProblem problem = ProblemOf(description, a, b, c, d);
  if (const cublasStatus_t status = problem.Check()) return status;
  const auto& preference = *reinterpret_cast<const Preference*>(opaque);
  Algorithm algorithm;
  algorithm.fingerprint = problem.Fingerprint();
  algorithm.workspace_bytes =
      std::min(preference.max_workspace_bytes, kWantedWorkspaceBytes);
  std::copy_n(preference.alignment, 4, algorithm.alignment);
  results[0] = {};
  std::memcpy(&results[0].algo, &algorithm, sizeof(algorithm));
  results[0].workspaceSize = algorithm.workspace_bytes;
  results[0].state = CUBLAS_STATUS_SUCCESS;
  *found = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(
    cublasLtHandle_t, cublasLtMatmulDesc_t description, const void* alpha,
    const void* a, cublasLtMatrixLayout_t a_layout, const void* b,
    cublasLtMatrixLayout_t b_layout, const void* beta, const void* c,
    cublasLtMatrixLayout_t c_layout, void* d, cublasLtMatrixLayout_t d_layout,
    const cublasLtMatmulAlgo_t* opaque, void* workspace, size_t workspace_bytes,
    cudaStream_t stream) {
  if (matmuls_until_failure > 0 && --matmuls_until_failure == 0) {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  const MatmulProblem problem =
      ProblemOf(description, a_layout, b_layout, c_layout, d_layout);
  if (const cublasStatus_t status = problem.Check()) return status;
  if (opaque == nullptr) {
    Fail("cublasLtMatmul without an algorithm looks for one in every call");
  }
  Algorithm algorithm;
  std::memcpy(static_cast<void*>(&algorithm), opaque, sizeof(algorithm));
  if (algorithm.fingerprint != problem.Fingerprint() ||
      workspace_bytes < algorithm.workspace_bytes ||
      *static_cast<const float*>(alpha) != 1.0f ||
      (problem.has_bias() && problem.description.bias == nullptr)) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  const void* const pointers[4] = {a, b, c, d};
  for (int i = 0; i < 4; ++i) {
    if (!IsAligned(pointers[i], algorithm.alignment[i])) {
      return CUBLAS_STATUS_INVALID_VALUE;
    }
  }
  const Operands operands = {a,
                             b,
                             c,
                             d,
                             workspace,
                             algorithm.workspace_bytes,
                             *static_cast<const float*>(beta)};
  const int device = DeviceOf(stream, "cublasLtMatmul");
  const auto run = [problem, operands, device] {
    CheckMemory(problem, operands, device);
    Poison(operands.workspace, operands.workspace_bytes);
    problem.Run(operands.a, operands.b, operands.c, operands.d, operands.beta);
    return true;
  };
  return FakeRuntime::Get().Enqueue("cublasLtMatmul", stream,
                                    {"cublasLtMatmul", run}) == cudaSuccess
             ? CUBLAS_STATUS_SUCCESS
             : CUBLAS_STATUS_EXECUTION_FAILED;
}

}  // extern "C"
