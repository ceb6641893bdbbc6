#include "kernels/cuda/sampler.h"

#include <glog/logging.h>

#include <algorithm>
#include <bit>

#include "kernels/cuda/cuda_matrix.h"
#include "kernels/cuda/cuda_memory.h"
#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/sampling.h"
#include "runtime/base/status_macros.h"

namespace blockserve::cuda {
namespace {

// Larger batches are sampled in slices: scratch for 256 rows of 50304 ids takes
// 103 MB, and the head's product is bound by its sums from far fewer rows on.
constexpr int64_t kMaxRowsAtOnce = 256;

// For the states of rows with short lists; more is made when it is needed.
constexpr size_t kBytesPerRow = 512;

}  // namespace

absl::Status CudaSampler::Grow(size_t num_bytes, Buffer& buffer) {
  if (num_bytes <= buffer.num_bytes()) return absl::OkStatus();
  ++num_moves_;
  // What is enqueued may still use the old one: freeing waits for it.
  ASSIGN_OR_RETURN(buffer, AllocateOnDevice(num_bytes));
  return absl::OkStatus();
}

absl::Status CudaSampler::Reserve(int64_t num_rows, int64_t vocab_size) {
  const auto rows = static_cast<size_t>(std::min(num_rows, kMaxRowsAtOnce));
  const size_t num_bytes =
      rows * static_cast<size_t>(vocab_size) * sizeof(float);
  RETURN_IF_ERROR(Grow(num_bytes, logits_));
  RETURN_IF_ERROR(Grow(num_bytes, changed_));
  return Grow(static_cast<size_t>(num_rows) * kBytesPerRow, rows_);
}

absl::Status CudaSampler::Run(const TensorView& input, const Matrix& head,
                              const SampleArgs& args, cudaStream_t stream) {
  const int64_t num_rows = input.dim(0);
  if (num_rows == 0) return absl::OkStatus();
  RETURN_IF_ERROR(Reserve(num_rows, head.out_dim()));
  if (!args.rows_are_set) RETURN_IF_ERROR(SetRows(args.rows));
  CHECK_EQ(num_set_, args.rows.size());
  for (int64_t begin = 0; begin < num_rows; begin += kMaxRowsAtOnce) {
    RETURN_IF_ERROR(RunSlice(input, head, args, begin,
                             std::min(begin + kMaxRowsAtOnce, num_rows),
                             stream));
  }
  return absl::OkStatus();
}

absl::Status CudaSampler::SetRows(absl::Span<const SampleRow> rows) {
  packed_.Pack(rows);
  num_set_ = rows.size();
  // By powers of two: histories get longer step by step.
  RETURN_IF_ERROR(Grow(std::bit_ceil(packed_.bytes().size()), rows_));
  return copies_.ToDevice(packed_.bytes().data(), rows_.data(),
                          packed_.bytes().size());
}

absl::Status CudaSampler::RunSlice(const TensorView& input, const Matrix& head,
                                   const SampleArgs& args, int64_t begin,
                                   int64_t end, cudaStream_t stream) {
  const int64_t vocab_size = head.out_dim();
  MatmulProblem product;
  product.input = input.Rows(begin, end).data();
  product.weight = static_cast<const CudaMatrix&>(head).data();
  product.output = logits_.data();
  product.rows = end - begin;
  product.in_dim = head.in_dim();
  product.out_dim = vocab_size;
  product.input_dtype = input.dtype();
  RETURN_IF_ERROR(matmul_.Multiply(product, stream));
  if (!args.logits.empty()) {
    const TensorView wanted = args.logits.Rows(begin, end);
    RETURN_IF_ERROR(ToStatus(
        cudaMemcpyAsync(wanted.data(), logits_.data(), wanted.num_bytes(),
                        cudaMemcpyDeviceToDevice, stream),
        "copying logits"));
  }

  SampleProblem problem;
  problem.rows = static_cast<const SampleRowsHeader*>(rows_.data());
  problem.first_row = static_cast<int32_t>(begin);
  problem.logits = static_cast<const float*>(logits_.data());
  problem.changed = static_cast<float*>(changed_.data());
  problem.num_rows = static_cast<int32_t>(end - begin);
  problem.vocab_size = static_cast<int32_t>(vocab_size);
  problem.offset = args.offset;
  problem.tokens_per_step = static_cast<int32_t>(args.tokens.dim(1));
  const auto slice = [&](const TensorView& view) {
    return view.empty() ? view : view.Rows(begin, end);
  };
  problem.tokens = slice(args.tokens).as<int32_t>();
  problem.logprobs = slice(args.logprobs).as<float>();
  problem.top_ids = slice(args.top_ids).as<int32_t>();
  problem.top_logprobs = slice(args.top_logprobs).as<float>();
  return ToStatus(LaunchSample(problem, stream), "launching sample");
}

}  // namespace blockserve::cuda
