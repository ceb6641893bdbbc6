#include "router/rpc_error.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "router/duration_proto.h"

namespace blockserve {
namespace {

// Trailers carry the status message twice and the details base64-encoded: this
// much of each stays below the 8 KB that gRPC clients take by default.
constexpr size_t kMaxMessageBytes = 700;
constexpr size_t kMaxViolationBytes = 2400;

constexpr absl::Duration kUnavailableRetryDelay = absl::Milliseconds(500);

std::string Truncated(std::string text, size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  size_t end = max_bytes;
  // Not inside a UTF-8 character: protobuf strings have to be valid.
  while (end > 0 && (text[end] & 0xC0) == 0x80) --end;
  text.resize(end);
  return text + "...";
}

google::rpc::BadRequest ToBadRequest(
    const std::vector<FieldViolation>& violations) {
  google::rpc::BadRequest bad_request;
  size_t bytes = 0;
  for (size_t i = 0; i < violations.size(); ++i) {
    const std::string field = Truncated(violations[i].field, 100);
    const std::string description = Truncated(violations[i].description, 300);
    bytes += field.size() + description.size() + 8;
    auto* out = bad_request.add_field_violations();
    if (bytes > kMaxViolationBytes) {
      out->set_field("...");
      out->set_description(
          absl::StrCat("and ", violations.size() - i, " more violations"));
      break;
    }
    out->set_field(field);
    out->set_description(description);
  }
  return bad_request;
}

void AddErrorInfo(const RpcError& error, google::rpc::Status& status) {
  google::rpc::ErrorInfo info;
  info.set_reason(error.reason);
  info.set_domain(kErrorDomain);
  for (const auto& [key, value] : error.metadata) {
    (*info.mutable_metadata())[key] = Truncated(value, 100);
  }
  status.add_details()->PackFrom(info);
}

void AddRetryInfo(absl::Duration delay, google::rpc::Status& status) {
  google::rpc::RetryInfo info;
  SetDuration(delay, *info.mutable_retry_delay());
  status.add_details()->PackFrom(info);
}

RpcError MakeError(grpc::StatusCode code, absl::string_view reason,
                   std::string message) {
  RpcError error;
  error.code = code;
  error.reason = std::string(reason);
  error.message = std::move(message);
  return error;
}

}  // namespace

RpcError InvalidParameterError(std::vector<FieldViolation> violations) {
  std::string message = "invalid request";
  if (!violations.empty()) {
    absl::StrAppend(&message, ": ", violations[0].field, ": ",
                    violations[0].description);
  }
  if (violations.size() > 1) {
    absl::StrAppend(&message, " (and ", violations.size() - 1, " more)");
  }
  RpcError error = MakeError(grpc::StatusCode::INVALID_ARGUMENT,
                             kInvalidParameter, std::move(message));
  error.violations = std::move(violations);
  return error;
}

RpcError ContextLengthError(absl::string_view field, int64_t limit,
                            int64_t given) {
  RpcError error = MakeError(
      grpc::StatusCode::INVALID_ARGUMENT, kContextLengthExceeded,
      absl::StrCat("at most ", limit, " tokens fit the model's context, got ",
                   given, " (", field, ")"));
  error.metadata = {{"limit", absl::StrCat(limit)},
                    {"given", absl::StrCat(given)}};
  error.violations = {{std::string(field), error.message}};
  return error;
}

RpcError ModelNotFoundError(absl::string_view name) {
  RpcError error =
      MakeError(grpc::StatusCode::NOT_FOUND, kModelNotFound,
                absl::StrCat("no model ", Quoted(name), " is served here"));
  error.resource_type = "model";
  error.resource_name = Truncated(absl::CHexEscape(name), 200);
  return error;
}

RpcError FeatureDisabledError(absl::string_view what) {
  return MakeError(grpc::StatusCode::FAILED_PRECONDITION, kFeatureDisabled,
                   std::string(what));
}

RpcError QueueFullError(absl::string_view subject,
                        absl::string_view description,
                        absl::Duration retry_delay) {
  RpcError error = MakeError(grpc::StatusCode::RESOURCE_EXHAUSTED, kQueueFull,
                             std::string(description));
  error.quota_subject = std::string(subject);
  error.retry_delay = retry_delay;
  return error;
}

RpcError NoHealthyWorkerError(absl::Duration retry_delay) {
  RpcError error = MakeError(grpc::StatusCode::UNAVAILABLE, kNoHealthyWorker,
                             "no worker is up");
  error.retry_delay = retry_delay;
  return error;
}

RpcError DrainingError() {
  RpcError error = MakeError(grpc::StatusCode::UNAVAILABLE, kDraining,
                             "this router is shutting down");
  error.retry_delay = kUnavailableRetryDelay;
  return error;
}

RpcError WorkerLostError(absl::string_view why) {
  RpcError error = MakeError(
      grpc::StatusCode::UNAVAILABLE, kWorkerLost,
      absl::StrCat("the worker was lost before the first token: ", why));
  error.retry_delay = kUnavailableRetryDelay;
  return error;
}

RpcError WorkerLostMidStreamError(int64_t tokens_delivered) {
  RpcError error = MakeError(
      grpc::StatusCode::ABORTED, kWorkerLostMidStream,
      absl::StrCat("the worker was lost after ", tokens_delivered, " tokens"));
  error.metadata = {{"tokens_delivered", absl::StrCat(tokens_delivered)}};
  return error;
}

RpcError PoisonRequestError(size_t tokens_delivered) {
  RpcError error = MakeError(
      grpc::StatusCode::INTERNAL, kEngineError,
      absl::StrCat("two workers were lost at token ", tokens_delivered,
                   " of this request; it is not given to a third"));
  error.metadata = {{"tokens_delivered", absl::StrCat(tokens_delivered)}};
  return error;
}

RpcError TimeoutError(bool started) {
  return MakeError(grpc::StatusCode::DEADLINE_EXCEEDED,
                   started ? kGenerationTimeout : kQueueTimeout,
                   started ? "the deadline passed during generation"
                           : "the deadline passed before the first token");
}

RpcError ClientCancelledError() {
  return MakeError(grpc::StatusCode::CANCELLED, kClientCancelled,
                   "the client cancelled the request");
}

RpcError AbortedError() {
  return MakeError(grpc::StatusCode::CANCELLED, kAbortRpc,
                   "the request was ended by an Abort call");
}

grpc::Status ToGrpcStatus(const RpcError& error, absl::string_view request_id) {
  const std::string message = Truncated(error.message, kMaxMessageBytes);
  google::rpc::Status status;
  status.set_code(error.code);
  status.set_message(message);
  AddErrorInfo(error, status);
  if (!error.violations.empty()) {
    status.add_details()->PackFrom(ToBadRequest(error.violations));
  }
  if (error.retry_delay > absl::ZeroDuration()) {
    AddRetryInfo(error.retry_delay, status);
  }
  if (!error.quota_subject.empty()) {
    google::rpc::QuotaFailure quota;
    auto* violation = quota.add_violations();
    violation->set_subject(error.quota_subject);
    violation->set_description(message);
    status.add_details()->PackFrom(quota);
  }
  if (!error.resource_type.empty()) {
    google::rpc::ResourceInfo resource;
    resource.set_resource_type(error.resource_type);
    resource.set_resource_name(error.resource_name);
    resource.set_description(message);
    status.add_details()->PackFrom(resource);
  }
  if (!request_id.empty()) {
    google::rpc::RequestInfo info;
    info.set_request_id(std::string(request_id));
    status.add_details()->PackFrom(info);
  }
  return grpc::Status(error.code, message, status.SerializeAsString());
}

std::string Quoted(absl::string_view text, size_t max_bytes) {
  std::string shown = absl::CHexEscape(text.substr(0, max_bytes));
  return absl::StrCat("\"", shown, text.size() > max_bytes ? "...\"" : "\"");
}

}  // namespace blockserve
