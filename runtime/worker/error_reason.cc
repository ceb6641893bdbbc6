#include "runtime/worker/error_reason.h"

namespace blockserve {

RequestPhase PhaseOf(const RequestResult& result) {
  if (result.timings.first_token > absl::ZeroDuration()) {
    return RequestPhase::kDecode;
  }
  // The engine counts the wait of a request that was never admitted until its
  // end.
  return result.timings.queue < result.timings.total ||
                 result.timings.prefill > absl::ZeroDuration()
             ? RequestPhase::kPrefill
             : RequestPhase::kWaiting;
}

absl::string_view NameOf(RequestPhase phase) {
  switch (phase) {
    case RequestPhase::kWaiting:
      return "waiting";
    case RequestPhase::kPrefill:
      return "prefill";
    case RequestPhase::kDecode:
      return "decode";
  }
  return "";
}

absl::string_view ErrorReason(const absl::Status& status, RequestPhase phase,
                              bool exceeds_context, bool is_healthy) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return "";
    case absl::StatusCode::kInvalidArgument:
      return exceeds_context ? "CONTEXT_LENGTH_EXCEEDED" : "INVALID_PARAMETER";
    case absl::StatusCode::kAlreadyExists:
      return "INVALID_PARAMETER";
    case absl::StatusCode::kResourceExhausted:
      return "QUEUE_FULL";
    case absl::StatusCode::kUnavailable:
      return is_healthy ? "DRAINING" : "WORKER_LOST";
    case absl::StatusCode::kDeadlineExceeded:
      return phase == RequestPhase::kWaiting ? "QUEUE_TIMEOUT"
                                             : "GENERATION_TIMEOUT";
    case absl::StatusCode::kCancelled:
      return "CLIENT_CANCELLED";
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kUnimplemented:
      return "FEATURE_DISABLED";
    default:
      return "ENGINE_ERROR";
  }
}

}  // namespace blockserve
