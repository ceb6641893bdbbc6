// What a GPU's datasheet promises: the peaks that plans are made from.
#ifndef BLOCKSERVE_RUNTIME_PLAN_GPU_SPEC_H_
#define BLOCKSERVE_RUNTIME_PLAN_GPU_SPEC_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace blockserve {

struct GpuSpec {
  std::string name;             // as in flags: "h100"
  std::string title;            // "H100 SXM 80 GB"
  double flop_per_second = 0;   // dense, bf16
  double bytes_per_second = 0;  // of its memory
  double memory_bytes = 0;
  double link_bytes_per_second = 0;  // to its peers, one direction
};

// From the oldest to the newest.
std::vector<GpuSpec> KnownGpus();

// INVALID_ARGUMENT lists the names there are.
absl::StatusOr<GpuSpec> FindGpu(std::string_view name);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_PLAN_GPU_SPEC_H_
