// Picks and reports tokens from finished logits, as sample_args.h says.
#ifndef BLOCKSERVE_KERNELS_CPU_SAMPLING_H_
#define BLOCKSERVE_KERNELS_CPU_SAMPLING_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "kernels/api/sample_args.h"
#include "kernels/cpu/largest_logit.h"
#include "kernels/cpu/vocabulary_scan.h"

namespace blockserve::cpu {

// True if the row's logits must be computed: it draws, or reports something.
bool NeedsLogits(const SampleRow& row, int offset);

// True if all that the row needs of its logits is the largest: it is greedy,
// changes none and reports none.
bool NeedsLargestOnly(const SampleRow& row, int offset);

// Works on one row. Owns scratch; one per thread.
class RowSampler {
 public:
  void Reserve(int64_t vocab_size);

  // Picks the token of row `row` of `args` and reports its log-probabilities.
  //   logits: float [vocab_size], as projected; unchanged
  void PickAndReport(absl::Span<const float> logits, const SampleArgs& args,
                     int64_t row);

 private:
  // Bias, penalties and bans.
  //   block: the tokens of this block so far
  absl::Span<const float> ChangedLogits(absl::Span<const float> logits,
                                        const SampleRow& row, int offset,
                                        absl::Span<const int32_t> block);
  int32_t Pick(absl::Span<const float> logits, const LargestLogit& largest,
               const SampleRow& row, int offset);
  // The last key in the order of preference that top_k, top_p and min_p leave.
  TokenKey LastKept(absl::Span<const float> logits, const Share& share,
                    const SampleRow& row);
  // The same for top_p alone.
  TokenKey LastOfTopP(absl::Span<const float> logits, const Share& share,
                      float top_p);
  void Report(absl::Span<const float> logits, const LargestLogit& largest,
              const SampleArgs& args, int64_t row, int32_t token);

  std::vector<float> changed_;
  std::vector<TokenKey> keys_;
  std::vector<double> masses_;
};

// Samples many rows over threads.
class Sampler {
 public:
  explicit Sampler(int num_threads) : row_samplers_(num_threads) {}

  void Reserve(int64_t vocab_size);

  // Rows [row_begin, row_begin + n) of `args`, in parallel.
  //   logits: float [n, vocab_size]
  void Sample(const TensorView& logits, const SampleArgs& args,
              int64_t row_begin);

 private:
  std::vector<RowSampler> row_samplers_;  // one per thread
};

// Writes the tokens of rows that NeedsLargestOnly().
//   largest: of all rows of `args`
void TakeLargest(absl::Span<const LargestLogit> largest,
                 const SampleArgs& args);

}  // namespace blockserve::cpu

#endif  // BLOCKSERVE_KERNELS_CPU_SAMPLING_H_
