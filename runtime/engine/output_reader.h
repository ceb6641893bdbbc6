// Takes from a step's output what each request gets, and hands it over.
#ifndef BLOCKSERVE_RUNTIME_ENGINE_OUTPUT_READER_H_
#define BLOCKSERVE_RUNTIME_ENGINE_OUTPUT_READER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/engine/active_request.h"
#include "runtime/model/model.h"

namespace blockserve {

// What became of a request in a step.
struct ChunkOutcome {
  bool is_done = false;
  absl::Status status;      // not OK: the request ends with it
  int num_used_tokens = 0;  // of those computed for its rows, given ones too
};

// Allocates at construction only.
class OutputReader {
 public:
  OutputReader(int tokens_per_step, int max_rows_per_step);

  // Reads the `num_rows` rows from `row_begin` on, which follow the last units
  // of `request` in the cache, and calls its sink with the new tokens: up to
  // and including a stop token, never more than it asked for. DATA_LOSS if the
  // logits were not numbers.
  ChunkOutcome Take(ActiveRequest& request, const StepOutput& output,
                    size_t row_begin, int num_rows, absl::Time now);

 private:
  ChunkOutcome TakeGenerated(ActiveRequest& request, const StepOutput& output,
                             size_t row_begin, absl::Time now);
  ChunkOutcome TakeScored(ActiveRequest& request, const StepOutput& output,
                          size_t row_begin, int num_rows, absl::Time now);
  void ReadLogprobs(const ActiveRequest& request, const StepOutput& output,
                    size_t place, int32_t token);
  void Deliver(ActiveRequest& request, size_t token_begin, size_t num_tokens,
               absl::Time now);

  const int tokens_per_step_;
  // Of the tokens to deliver; the entries keep their memory.
  std::vector<TokenLogprobs> logprobs_;
  size_t num_logprobs_ = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_ENGINE_OUTPUT_READER_H_
