// Runs SampleTokens on logits that a test writes down.
#ifndef BLOCKSERVE_KERNELS_CONFORMANCE_SAMPLING_FIXTURE_H_
#define BLOCKSERVE_KERNELS_CONFORMANCE_SAMPLING_FIXTURE_H_

#include <array>
#include <cstdint>
#include <vector>

#include "kernels/api/sample_args.h"
#include "kernels/conformance/ops_conformance_test.h"

namespace blockserve {

using Logits = std::vector<std::vector<float>>;  // [row][id]

struct SampleCall {
  int offset = 0;
  int tokens_per_step = 1;
  // [rows * tokens_per_step]; empty: all kUnwritten.
  std::vector<int32_t> tokens = {};
};

struct SampleResult {
  std::vector<int32_t> tokens;      // [rows * tokens_per_step]
  std::vector<float> logprobs;      // the same
  std::vector<int32_t> top_ids;     // [rows * tokens_per_step * kMaxLogprobs]
  std::vector<float> top_logprobs;  // the same
  std::vector<float> logits;        // [rows * vocab_size]
};

class SamplingFixture : public OpsConformanceTest {
 protected:
  static constexpr int32_t kUnwritten = -777;

  // `logits` must be finite and, in a bf16 backend, numbers of bf16. Row r of
  // the input is the r-th unit vector and column r of the head holds the
  // logits of row r, so that they come out exactly as given.
  std::array<SampleResult, 2> SampleBoth(const Logits& logits,
                                         const std::vector<SampleRow>& rows,
                                         SampleCall call = {});
  // Of the backend under test, once it agrees with the reference's tokens.
  SampleResult Sample(const Logits& logits, const std::vector<SampleRow>& rows,
                      SampleCall call = {});
  // The token of a single row.
  int32_t SampleOne(const std::vector<float>& logits, const SampleRow& row);

  std::array<SampleResult, 2> SampleProjected(
      const Twin& input, const TwinMatrix& head,
      const std::vector<SampleRow>& rows, SampleCall call = {});
};

// log p[i] is the logit of i: a distribution one can reason about. Rounding
// them to bf16 changes them, so only orders and bounds may be relied on.
std::vector<float> LogitsOf(const std::vector<double>& probabilities);

}  // namespace blockserve

#endif  // BLOCKSERVE_KERNELS_CONFORMANCE_SAMPLING_FIXTURE_H_
