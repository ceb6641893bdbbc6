// Ops::SampleTokens from finished logits, step by step as sample_args.h says.
#ifndef BLOCKSERVE_KERNELS_REFERENCE_SAMPLING_H_
#define BLOCKSERVE_KERNELS_REFERENCE_SAMPLING_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "kernels/api/sample_args.h"

namespace blockserve::reference {

// Holds scratch for one row of logits.
class Sampler {
 public:
  void Reserve(int64_t vocab_size);

  // Where the caller puts the logits of the next row: float [vocab_size].
  absl::Span<float> logits(int64_t vocab_size);

  // Picks the token of row `row` from logits() and reports it.
  void PickAndReport(const SampleArgs& args, int64_t row);

 private:
  struct Candidate {
    int32_t id = 0;
    double logit = 0.0;
  };

  // Bias, penalties and bans: logits_ -> changed_.
  //   block: the tokens of this block so far
  void ChangeLogits(const SampleRow& row, int offset,
                    absl::Span<const int32_t> block);
  int32_t Pick(const SampleRow& row, int offset);
  // top_k, top_p and min_p: takes away from the tail of candidates_.
  void KeepMostLikely(const SampleRow& row);
  void Report(const SampleArgs& args, int64_t row, int32_t token);

  // candidates_ = all ids whose logit is not -infinity.
  void FillCandidates(absl::Span<const float> logits);
  float& Changed(int32_t id);
  // The most likely first, the lower id first on a tie.
  void SortCandidates();

  std::vector<float> logits_;
  std::vector<float> changed_;
  std::vector<Candidate> candidates_;
};

}  // namespace blockserve::reference

#endif  // BLOCKSERVE_KERNELS_REFERENCE_SAMPLING_H_
