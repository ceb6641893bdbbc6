// Where a golden run computes, if not on a backend that is known by name.
#ifndef BLOCKSERVE_RUNTIME_GOLDEN_GOLDEN_DEVICES_H_
#define BLOCKSERVE_RUNTIME_GOLDEN_GOLDEN_DEVICES_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "kernels/api/ops.h"
#include "parallel/api/communicator.h"

namespace blockserve {

// Both or neither are set; as InProcessGroupOptions has them.
struct GoldenDevices {
  // dtype: "fp32" or "bf16"
  std::function<absl::StatusOr<std::unique_ptr<Ops>>(const std::string& dtype,
                                                     int rank)>
      create_ops;
  std::function<absl::StatusOr<std::unique_ptr<Communicator>>(
      int rank, const CommunicatorLimits& limits, Ops& ops)>
      connect;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_GOLDEN_GOLDEN_DEVICES_H_
