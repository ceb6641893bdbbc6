#include "runtime/plan/gpu_spec.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace blockserve {

std::vector<GpuSpec> KnownGpus() {
  // NVIDIA's datasheets; the L40S has no NVLink, so its peers are behind PCIe
  // 4.0 x16.
  return {
      {"a100", "A100 SXM 80 GB", 312e12, 2.0e12, 80e9, 300e9},
      {"l40s", "L40S 48 GB", 362e12, 0.864e12, 48e9, 32e9},
      {"h100", "H100 SXM 80 GB", 989e12, 3.35e12, 80e9, 450e9},
      {"h200", "H200 SXM 141 GB", 989e12, 4.8e12, 141e9, 450e9},
      {"b200", "B200 SXM 180 GB", 2250e12, 8.0e12, 180e9, 900e9},
  };
}

absl::StatusOr<GpuSpec> FindGpu(std::string_view name) {
  std::vector<std::string> names;
  for (const GpuSpec& gpu : KnownGpus()) {
    if (gpu.name == name) return gpu;
    names.push_back(gpu.name);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("expected one of ", absl::StrJoin(names, ", "), ", got \"",
                   std::string(name), "\""));
}

}  // namespace blockserve
