// The errors that clients see: a status code, and a reason and details that a
// program can act on (google.rpc messages in grpc-status-details-bin).
#ifndef BLOCKSERVE_ROUTER_RPC_ERROR_H_
#define BLOCKSERVE_ROUTER_RPC_ERROR_H_

#include <grpcpp/support/status.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "runtime/request/sampling_params.h"

namespace blockserve {

inline constexpr char kErrorDomain[] = "blockserve";

// ErrorInfo.reason.
inline constexpr char kInvalidParameter[] = "INVALID_PARAMETER";
inline constexpr char kContextLengthExceeded[] = "CONTEXT_LENGTH_EXCEEDED";
inline constexpr char kModelNotFound[] = "MODEL_NOT_FOUND";
inline constexpr char kQueueFull[] = "QUEUE_FULL";
inline constexpr char kNoHealthyWorker[] = "NO_HEALTHY_WORKER";
inline constexpr char kDraining[] = "DRAINING";
inline constexpr char kWorkerLost[] = "WORKER_LOST";
inline constexpr char kWorkerLostMidStream[] = "WORKER_LOST_MID_STREAM";
inline constexpr char kQueueTimeout[] = "QUEUE_TIMEOUT";
inline constexpr char kGenerationTimeout[] = "GENERATION_TIMEOUT";
inline constexpr char kClientCancelled[] = "CLIENT_CANCELLED";
inline constexpr char kAbortRpc[] = "ABORT_RPC";
inline constexpr char kFeatureDisabled[] = "FEATURE_DISABLED";
inline constexpr char kEngineError[] = "ENGINE_ERROR";

struct RpcError {
  grpc::StatusCode code = grpc::StatusCode::INTERNAL;
  std::string reason = kEngineError;
  std::string message;
  std::vector<std::pair<std::string, std::string>> metadata;  // of ErrorInfo
  std::vector<FieldViolation> violations;                     // BadRequest
  absl::Duration retry_delay;  // RetryInfo, if positive
  std::string quota_subject;   // QuotaFailure, if set
  std::string resource_type;   // ResourceInfo, if set
  std::string resource_name;
};

RpcError InvalidParameterError(std::vector<FieldViolation> violations);
// `given` is prompt + max_tokens.
RpcError ContextLengthError(absl::string_view field, int64_t limit,
                            int64_t given);
RpcError ModelNotFoundError(absl::string_view name);
RpcError FeatureDisabledError(absl::string_view what);
RpcError QueueFullError(absl::string_view subject,
                        absl::string_view description,
                        absl::Duration retry_delay);
RpcError NoHealthyWorkerError(absl::Duration retry_delay);
RpcError DrainingError();
RpcError WorkerLostError(absl::string_view why);
RpcError WorkerLostMidStreamError(int64_t tokens_delivered);
// Two groups went down with the request, with no token in between.
RpcError PoisonRequestError(size_t tokens_delivered);
// `started`: tokens were generated already.
RpcError TimeoutError(bool started);
RpcError ClientCancelledError();
RpcError AbortedError();

// What goes over the wire. Cut to what fits the metadata a client accepts (8 KB
// by default): of many violations the first ones and how many more there are.
grpc::Status ToGrpcStatus(const RpcError& error, absl::string_view request_id);

// Text from a client, fit for a message: escaped and at most `max_bytes` long.
std::string Quoted(absl::string_view text, size_t max_bytes = 64);

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_RPC_ERROR_H_
