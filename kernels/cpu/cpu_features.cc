#include "kernels/cpu/cpu_features.h"

#include <omp.h>
#include <sched.h>

#include <algorithm>

// clang-format off
#include "kernels/cpu/highway_targets.h"
#include "hwy/highway.h"
// clang-format on
#include "absl/strings/str_cat.h"
#include "oneapi/dnnl/dnnl.hpp"

namespace blockserve::cpu {
namespace {

// oneDNN's values are sets of bits: a better one contains the lesser ones.
bool OneDnnMayUse(dnnl::cpu_isa isa) {
  const auto have = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  const auto want = static_cast<unsigned>(isa);
  return (have & want) == want;
}

}  // namespace

bool HasBFloat16() { return OneDnnMayUse(dnnl::cpu_isa::avx512_core_bf16); }

void AlignHighwayWithOneDnn() {
#if HWY_ARCH_X86
  int64_t disabled = 0;
  if (!OneDnnMayUse(dnnl::cpu_isa::avx512_core)) {
    disabled |= HWY_AVX3 | HWY_AVX3_DL;
  }
  if (!OneDnnMayUse(dnnl::cpu_isa::avx2)) disabled |= HWY_AVX2;
  if (disabled != 0) hwy::DisableTargets(disabled);
#endif
}

std::string OneDnnVersion() {
  const dnnl_version_t* version = dnnl_version();
  return absl::StrCat(version->major, ".", version->minor, ".", version->patch);
}

std::string OneDnnIsaName() {
  if (OneDnnMayUse(dnnl::cpu_isa::avx512_core_amx)) return "AMX";
  if (HasBFloat16()) return "AVX512-BF16";
  if (OneDnnMayUse(dnnl::cpu_isa::avx512_core)) return "AVX512";
  if (OneDnnMayUse(dnnl::cpu_isa::avx2)) return "AVX2";
  return "baseline";
}

std::string HighwayTargetName() {
  // The lowest bit is the best target.
  const int64_t targets = hwy::SupportedTargets() & HWY_TARGETS;
  return hwy::TargetName(targets & -targets);
}

int NumUsableCores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  int num_cores = omp_get_max_threads();
  if (sched_getaffinity(0, sizeof(cores), &cores) == 0) {
    num_cores = std::min(num_cores, CPU_COUNT(&cores));
  }
  return std::max(num_cores, 1);
}

}  // namespace blockserve::cpu
