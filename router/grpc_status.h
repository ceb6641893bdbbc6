// gRPC's Status as Abseil's: the codes are the same numbers.
#ifndef BLOCKSERVE_ROUTER_GRPC_STATUS_H_
#define BLOCKSERVE_ROUTER_GRPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace blockserve {

inline absl::Status ToAbslStatus(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      status.error_message());
}

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_GRPC_STATUS_H_
