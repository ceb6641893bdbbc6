// How a call ends on the wire.
#ifndef BLOCKSERVE_ROUTER_CALL_STATUS_H_
#define BLOCKSERVE_ROUTER_CALL_STATUS_H_

#include <grpcpp/grpcpp.h>

#include <optional>
#include <string>

#include "blockserve/v1/generation.pb.h"
#include "router/rpc_error.h"

namespace blockserve {

// The status of a call and, in its trailing metadata, what goes with a failure:
// x-blockserve-usage, a JSON object with the fields of Usage, if `usage` is
// given; grpc-retry-pushback-ms if the error has a retry delay. Call once,
// right before Finish.
grpc::Status FinalStatus(grpc::CallbackServerContext* context,
                         const std::optional<RpcError>& error,
                         const std::string& request_id,
                         const v1::Usage* usage = nullptr);

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_CALL_STATUS_H_
