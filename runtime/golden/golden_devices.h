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

// Both functions or neither are set; as InProcessGroupOptions has them.
struct GoldenDevices {
  // dtype: "fp32" or "bf16"
  std::function<absl::StatusOr<std::unique_ptr<Ops>>(const std::string& dtype,
                                                     int rank)>
      create_ops;
  std::function<absl::StatusOr<std::unique_ptr<Communicator>>(
      int rank, const CommunicatorLimits& limits, Ops& ops)>
      connect;
  // This process runs that rank alone; the others run the same case. Not what
  // needs the tensors of all ranks. -1: all of them.
  int only_rank = -1;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_GOLDEN_GOLDEN_DEVICES_H_
