// What is refused before it is queued.
#ifndef BLOCKSERVE_RUNTIME_ENGINE_REQUEST_CHECKS_H_
#define BLOCKSERVE_RUNTIME_ENGINE_REQUEST_CHECKS_H_

#include "absl/status/status.h"
#include "runtime/request/request.h"
#include "runtime/request/sequence.h"

namespace blockserve {

// What a request must stay within.
struct RequestLimits {
  int vocab_size = 0;
  int max_context_tokens = 0;  // prompt and new tokens
  UnitLayout layout;
  int max_units_per_sequence = 0;
  int page_length = 1;
  int num_pages = 0;
};

// OK, or INVALID_ARGUMENT with all violations in the message: parameters out of
// range, ids outside the vocabulary, nothing to start from, or more tokens than
// can ever be held.
absl::Status CheckRequest(const GenerateRequest& request,
                          const RequestLimits& limits);
absl::Status CheckRequest(const ScoreRequest& request,
                          const RequestLimits& limits);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_ENGINE_REQUEST_CHECKS_H_
