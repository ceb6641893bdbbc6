#include "router/call_status.h"

#include "absl/strings/str_cat.h"

namespace blockserve {

grpc::Status FinalStatus(grpc::CallbackServerContext* context,
                         const std::optional<RpcError>& error,
                         const std::string& request_id,
                         const v1::Usage* usage) {
  if (!error.has_value()) return grpc::Status::OK;
  if (usage != nullptr) {
    context->AddTrailingMetadata(
        "x-blockserve-usage",
        absl::StrCat("{\"prompt_tokens\":", usage->prompt_tokens(),
                     ",\"completion_tokens\":", usage->completion_tokens(),
                     ",\"cached_tokens\":", usage->cached_tokens(), "}"));
  }
  if (error->retry_delay > absl::ZeroDuration()) {
    context->AddTrailingMetadata(
        "grpc-retry-pushback-ms",
        absl::StrCat(absl::ToInt64Milliseconds(error->retry_delay)));
  }
  return ToGrpcStatus(*error, request_id);
}

}  // namespace blockserve
