// The CPU backend, with one thread and with more than one. The instruction set
// is the best that the machine has, unless ONEDNN_MAX_CPU_ISA says otherwise
// (BUILD.bazel makes a test of each).
#include <glog/logging.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "kernels/conformance/ops_conformance_test.h"
#include "kernels/cpu/cpu_ops.h"

namespace blockserve {

std::vector<BackendCase> BackendCases() {
  std::vector<DType> dtypes = {DType::kFloat32};
  if (CpuHasBFloat16()) dtypes.push_back(DType::kBFloat16);
  std::vector<BackendCase> cases;
  for (const DType dtype : dtypes) {
    for (const int num_threads : {1, 3}) {
      cases.push_back({absl::StrCat("cpu_", std::string(NameOf(dtype)), "_",
                                    num_threads, "_threads"),
                       [dtype, num_threads]() -> std::unique_ptr<Ops> {
                         absl::StatusOr<std::unique_ptr<Ops>> ops =
                             CreateCpuOps(dtype, num_threads);
                         CHECK(ops.ok()) << ops.status();
                         return *std::move(ops);
                       }});
    }
  }
  return cases;
}

}  // namespace blockserve
