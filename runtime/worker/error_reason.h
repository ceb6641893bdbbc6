// How the end of a request is told to the router: Done's code and reason.
#ifndef BLOCKSERVE_RUNTIME_WORKER_ERROR_REASON_H_
#define BLOCKSERVE_RUNTIME_WORKER_ERROR_REASON_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "runtime/request/request.h"

namespace blockserve {

// How far a request had come when it ended.
enum class RequestPhase { kWaiting, kPrefill, kDecode };
RequestPhase PhaseOf(const RequestResult& result);
absl::string_view NameOf(RequestPhase phase);  // "waiting", ...

// Why the engine refused a request or ended it early: the ErrorInfo.reason of
// the public API. "" if `status` is OK.
//   phase:         of an ended request; kWaiting if it was refused
//   exceeds_context: prompt + max_tokens is above the limit
//   is_healthy:    false after the model failed
absl::string_view ErrorReason(const absl::Status& status, RequestPhase phase,
                              bool exceeds_context, bool is_healthy);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WORKER_ERROR_REASON_H_
