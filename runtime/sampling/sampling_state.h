// From a client's sampling parameters to what the kernels need for each row.
#ifndef BLOCKSERVE_RUNTIME_SAMPLING_SAMPLING_STATE_H_
#define BLOCKSERVE_RUNTIME_SAMPLING_SAMPLING_STATE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "kernels/api/sample_args.h"
#include "runtime/request/sampling_params.h"
#include "runtime/sampling/token_history.h"

namespace blockserve {

// The seed of a request whose client gave none: from the system's entropy, so
// that no two requests or workers sample alike.
uint64_t RandomSeed();

// The sampling state of one sequence. Allocates at construction only. Used by
// one thread at a time; must not move while a row borrows from it.
class SamplingState {
 public:
  // Temperatures below this are greedy: dividing logits by them overflows.
  static constexpr float kMinTemperature = 1e-5f;

  // `params` are valid (ValidateSamplingParams).
  SamplingState(const SamplingParams& params, uint64_t seed,
                int32_t eos_token_id, absl::Span<const int32_t> prompt);

  uint64_t seed() const { return row_.seed; }

  // How the row is sampled that starts after `position` generated tokens, all
  // of them recorded, and whose first `num_forced` tokens are known. Borrows
  // from this object.
  SampleRow Row(int position, int num_forced) const;

  // Tells of a generated token.
  void Record(int32_t token);

  // Whether generation ends at `token`: EOS or a stop id.
  bool IsStop(int32_t token) const;

 private:
  SampleRow row_;  // all that never changes
  int min_tokens_;
  std::vector<int32_t> stop_ids_;  // with EOS unless it is ignored
  std::vector<int32_t> bias_ids_;
  std::vector<float> bias_values_;
  std::optional<TokenHistory> history_;  // only where a penalty is on
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_SAMPLING_SAMPLING_STATE_H_
