#include "kernels/cuda/linear.h"

#include <glog/logging.h>

#include <algorithm>

#include "kernels/cuda/cuda_matrix.h"
#include "kernels/cuda/cuda_memory.h"
#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/elementwise.h"
#include "runtime/base/status_macros.h"

namespace blockserve::cuda {
namespace {

Epilogue EpilogueOf(Activation activation) {
  switch (activation) {
    case Activation::kGeluTanh:
      return Epilogue::kGeluTanh;
    case Activation::kRelu:
      return Epilogue::kRelu;
    case Activation::kNone:
    case Activation::kGelu:  // by a kernel
      break;
  }
  return Epilogue::kNone;
}

MatmulProblem ProblemOf(const LinearArgs& args) {
  const auto& weight = static_cast<const CudaMatrix&>(*args.weight);
  MatmulProblem problem;
  problem.input = args.input.data();
  problem.weight = weight.data();
  problem.bias = args.bias.data();
  problem.output = args.output.data();
  problem.rows = args.input.dim(0);
  problem.in_dim = weight.in_dim();
  problem.out_dim = weight.out_dim();
  problem.input_dtype = args.input.dtype();
  problem.output_dtype = args.output.dtype();
  problem.epilogue = EpilogueOf(args.activation);
  problem.accumulate = args.accumulate;
  return problem;
}

}  // namespace

absl::StatusOr<std::unique_ptr<CudaLinear>> CudaLinear::Create(
    size_t scratch_bytes, DType dtype, Matmul& matmul) {
  ASSIGN_OR_RETURN(Buffer scratch, AllocateOnDevice(scratch_bytes));
  return std::unique_ptr<CudaLinear>(
      new CudaLinear(std::move(scratch), dtype, matmul));
}

absl::Status CudaLinear::ReserveColumns(int64_t out_dim) {
  const size_t num_bytes = static_cast<size_t>(out_dim) * sizeof(float);
  if (num_bytes <= scratch_.num_bytes()) return absl::OkStatus();
  ASSIGN_OR_RETURN(scratch_, AllocateOnDevice(num_bytes));
  return absl::OkStatus();
}

absl::Status CudaLinear::Run(const LinearArgs& args, cudaStream_t stream) {
  MatmulProblem problem = ProblemOf(args);
  if (problem.rows == 0 || problem.out_dim == 0) return absl::OkStatus();
  CHECK_GT(problem.in_dim, 0);
  const bool has_epilogue =
      problem.bias != nullptr || args.activation != Activation::kNone;
  if (problem.output_dtype != DType::kFloat32 && has_epilogue) {
    return RunByScratch(args, problem, stream);
  }
  RETURN_IF_ERROR(matmul_.Multiply(problem, stream));
  if (args.activation != Activation::kGelu) return absl::OkStatus();
  return ToStatus(
      LaunchGelu(args.output.as<float>(), args.output.data(), DType::kFloat32,
                 args.output.num_elements(), stream),
      "launching gelu");
}

absl::Status CudaLinear::RunByScratch(const LinearArgs& args,
                                      MatmulProblem problem,
                                      cudaStream_t stream) {
  const int64_t out_dim = problem.out_dim;
  const int64_t slice = std::max<int64_t>(
      1, static_cast<int64_t>(scratch_.num_bytes() / sizeof(float)) / out_dim);
  const int64_t rows = problem.rows;
  for (int64_t begin = 0; begin < rows; begin += slice) {
    const int64_t end = std::min(begin + slice, rows);
    const TensorView output = args.output.Rows(begin, end);
    problem.input = args.input.Rows(begin, end).data();
    problem.output = scratch_.data();
    problem.output_dtype = DType::kFloat32;
    problem.rows = end - begin;
    RETURN_IF_ERROR(matmul_.Multiply(problem, stream));
    const auto* const values = static_cast<const float*>(scratch_.data());
    const int64_t count = output.num_elements();
    const cudaError_t error =
        args.activation == Activation::kGelu
            ? LaunchGelu(values, output.data(), dtype_, count, stream)
            : LaunchCast(values, DType::kFloat32, output.data(), dtype_, count,
                         stream);
    RETURN_IF_ERROR(ToStatus(error, "launching an epilogue"));
  }
  return absl::OkStatus();
}

}  // namespace blockserve::cuda
