#include "router/call_info.h"

#include <grpc/support/time.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/monotonic_clock.h"

namespace blockserve {
namespace {

constexpr char kRequestIdKey[] = "x-request-id";
constexpr size_t kMaxRequestIdBytes = 128;

// On gRPC's own clock, so that a jump of the system clock moves nothing.
absl::Duration TimeLeft(grpc::CallbackServerContext* context) {
  const gpr_timespec deadline = context->raw_deadline();
  if (gpr_time_cmp(deadline, gpr_inf_future(deadline.clock_type)) == 0) {
    return absl::InfiniteDuration();
  }
  const gpr_timespec left =
      gpr_time_sub(deadline, gpr_now(deadline.clock_type));
  return absl::Seconds(left.tv_sec) + absl::Nanoseconds(left.tv_nsec);
}

bool IsFit(const std::string& id) {
  return id.size() <= kMaxRequestIdBytes &&
         std::all_of(id.begin(), id.end(), [](char c) {
           return absl::ascii_isgraph(static_cast<unsigned char>(c));
         });
}

}  // namespace

CallInfo ReadCallInfo(grpc::CallbackServerContext* context,
                      const std::string& message_request_id,
                      absl::Duration max_duration, RandomSource* random) {
  CallInfo info;
  info.arrival = MonotonicNow();
  info.deadline = info.arrival + std::min(TimeLeft(context), max_duration);
  info.request_id = message_request_id;
  if (info.request_id.empty()) {
    const auto it = context->client_metadata().find(kRequestIdKey);
    if (it != context->client_metadata().end()) {
      info.request_id.assign(it->second.data(), it->second.size());
    }
  }
  if (info.request_id.empty()) {
    info.request_id =
        absl::StrCat("req-", absl::Hex(random->Next(), absl::kZeroPad16));
  }
  if (IsFit(info.request_id)) {
    context->AddInitialMetadata(kRequestIdKey, info.request_id);
  }
  return info;
}

std::optional<RpcError> CheckRequestId(const std::string& request_id) {
  if (IsFit(request_id)) return std::nullopt;
  return InvalidParameterError(
      {{"request_id",
        absl::StrCat("must have at most ", kMaxRequestIdBytes,
                     " printable ASCII characters and no spaces, got ",
                     Quoted(request_id, 32))}});
}

}  // namespace blockserve
