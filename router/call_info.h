// What a call brings beside its message: its id, its deadline.
#ifndef BLOCKSERVE_ROUTER_CALL_INFO_H_
#define BLOCKSERVE_ROUTER_CALL_INFO_H_

#include <grpcpp/grpcpp.h>

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "router/random_source.h"
#include "router/rpc_error.h"

namespace blockserve {

struct CallInfo {
  std::string request_id;
  absl::Time arrival;   // MonotonicNow()
  absl::Time deadline;  // MonotonicNow(); the client's or the server's
};

// Takes the id from the message, else from the metadata key x-request-id, else
// makes one, and sends it back in the initial metadata. The deadline is at most
// `max_duration` away.
CallInfo ReadCallInfo(grpc::CallbackServerContext* context,
                      const std::string& message_request_id,
                      absl::Duration max_duration, RandomSource* random);

// An id may have up to 128 printable ASCII characters and no spaces: it goes
// into headers and logs.
std::optional<RpcError> CheckRequestId(const std::string& request_id);

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_CALL_INFO_H_
