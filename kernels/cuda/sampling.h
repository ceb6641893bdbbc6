// Picks a token of each row of logits, and reports log-probabilities.
#ifndef BLOCKSERVE_KERNELS_CUDA_SAMPLING_H_
#define BLOCKSERVE_KERNELS_CUDA_SAMPLING_H_

#include <cuda_runtime_api.h>

#include <cstdint>

namespace blockserve::cuda {

// kMaxLogprobs of kernels/api/sample_args.h, which device code does not
// include; sample_upload.cc holds them together.
inline constexpr int kMaxAlternatives = 20;

// SampleRow (kernels/api/sample_args.h) as the device reads it: what it spans
// are ranges of arrays that all rows share.
struct DeviceSampleRow {
  uint64_t seed = 0;
  uint64_t position = 0;  // of the block's offset 0
  float temperature = 0.0f;
  int32_t top_k = 0;
  float top_p = 1.0f;
  float min_p = 0.0f;
  float repetition_penalty = 1.0f;
  float frequency_penalty = 0.0f;
  float presence_penalty = 0.0f;
  int32_t num_logprobs = -1;
  int32_t num_forced = 0;
  int32_t ban_until_offset = 0;
  int32_t bias_begin = 0, bias_end = 0;
  int32_t history_begin = 0, history_end = 0;
  int32_t banned_begin = 0, banned_end = 0;
};

struct DeviceTokenCount {
  int32_t id = 0;
  int32_t output_count = 0;
  int32_t in_prompt = 0;
};

// What memory that holds rows begins with: how many bytes from here the lists
// of all rows begin. DeviceSampleRow[] follows. So one address leads to
// everything, and a kernel whose arguments were frozen reads other lists.
struct SampleRowsHeader {
  uint32_t history = 0;      // DeviceTokenCount[]
  uint32_t bias_ids = 0;     // int32_t[]
  uint32_t bias_values = 0;  // float[]
  uint32_t banned_ids = 0;   // int32_t[]
};
static_assert(sizeof(SampleRowsHeader) % alignof(DeviceSampleRow) == 0);

struct SampleProblem {
  const float* logits = nullptr;  // [num_rows, vocab_size]
  float* changed = nullptr;       // scratch, the same
  int32_t num_rows = 0;
  int32_t vocab_size = 0;
  const SampleRowsHeader* rows = nullptr;
  int32_t first_row = 0;  // of them
  int32_t offset = 0;
  int32_t tokens_per_step = 0;
  int32_t* tokens = nullptr;   // [num_rows, tokens_per_step]
  float* logprobs = nullptr;   // the same
  int32_t* top_ids = nullptr;  // [num_rows, tokens_per_step, kMaxAlternatives]
  float* top_logprobs = nullptr;  // the same

  template <typename Visit>
  void VisitPointers(const Visit& visit) const {
    visit(logits), visit(changed), visit(rows), visit(tokens);
    visit(logprobs), visit(top_ids), visit(top_logprobs);
  }
};

// As SampleArgs says, step by step; arithmetic is fp32.
cudaError_t LaunchSample(const SampleProblem& problem, cudaStream_t stream);

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_SAMPLING_H_
