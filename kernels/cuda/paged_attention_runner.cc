#include "kernels/cuda/paged_attention_runner.h"

#include <algorithm>

#include "kernels/cuda/cuda_memory.h"
#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/decode_attention.h"
#include "kernels/cuda/prefill_attention.h"
#include "runtime/base/status_macros.h"

namespace blockserve::cuda {
namespace {

// A row is split until each multiprocessor has as many CTAs: beyond that, more
// of them only wait for memory.
constexpr int kCtasPerMultiprocessor = 2;
constexpr int kMaxSplitHeadDim = 128;

bool IsAligned(const PagedAttentionProblem& problem) {
  constexpr uintptr_t kMask = 15;
  return (reinterpret_cast<uintptr_t>(problem.qkv) & kMask) == 0 &&
         (reinterpret_cast<uintptr_t>(problem.cache) & kMask) == 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PagedAttentionRunner>>
PagedAttentionRunner::Create(int num_multiprocessors, cudaStream_t stream) {
  const int64_t max_ctas =
      int64_t{kCtasPerMultiprocessor} * num_multiprocessors;
  const size_t part_bytes = sizeof(float) * (kMaxSplitHeadDim + 2);
  ASSIGN_OR_RETURN(Buffer parts, AllocateOnDevice(max_ctas * part_bytes));
  ASSIGN_OR_RETURN(Buffer tickets, AllocateOnDevice(max_ctas * sizeof(int)));
  RETURN_IF_ERROR(
      ToStatus(cudaMemsetAsync(tickets.data(), 0, tickets.num_bytes(), stream),
               "clearing tickets"));
  return std::unique_ptr<PagedAttentionRunner>(
      new PagedAttentionRunner(max_ctas, std::move(parts), std::move(tickets)));
}

int PagedAttentionRunner::SplitsFor(
    const PagedAttentionProblem& problem) const {
  const int64_t rows = int64_t{problem.num_rows} * problem.num_heads;
  if (rows == 0) return 1;
  return static_cast<int>(std::clamp<int64_t>(
      max_ctas_ / rows, 1, std::max(1, MaxDecodeSplits(problem.max_pages))));
}

absl::Status PagedAttentionRunner::Run(const PagedAttentionProblem& problem,
                                       DType dtype, cudaStream_t stream) {
  if (!IsAligned(problem) || !HasDecodeAttention(problem.head_dim)) {
    return ToStatus(LaunchPagedAttention(problem, dtype, stream),
                    "launching paged_attention");
  }
  if (dtype == DType::kBFloat16 && problem.num_rows > problem.num_sequences &&
      HasPrefillAttention(problem.head_dim)) {
    return ToStatus(LaunchPrefillAttention(problem, stream),
                    "launching prefill_attention");
  }
  DecodeAttentionProblem decode;
  decode.attention = problem;
  decode.num_splits = SplitsFor(problem);
  if (decode.num_splits > 1) {
    decode.parts = static_cast<float*>(parts_.data());
    decode.tickets = static_cast<int*>(tickets_.data());
  }
  return ToStatus(LaunchDecodeAttention(decode, dtype, stream),
                  "launching decode_attention");
}

}  // namespace blockserve::cuda
