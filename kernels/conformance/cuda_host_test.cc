// The CUDA backend on the host: threads in the order that most easily shows
// what a barrier is missing for. BLOCKSERVE_SCHEDULE chooses another policy and
// seed, "2:17" (BUILD.bazel).
#include <glog/logging.h>

#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "kernels/conformance/ops_conformance_test.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda_host/schedule.h"

namespace blockserve {
namespace {

// Small enough to be cleared for every test, and for large cases to be sliced.
constexpr CudaOptions kOptions = {.workspace_bytes = 1 << 16,
                                  .scratch_bytes = 1 << 16,
                                  .staging_bytes = 1 << 16};

}  // namespace

std::vector<BackendCase> BackendCases() {
  std::vector<BackendCase> cases;
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    cases.push_back({absl::StrCat("cuda_host_", std::string(NameOf(dtype))),
                     [dtype]() -> std::unique_ptr<Ops> {
                       CudaOptions options = kOptions;
                       options.dtype = dtype;
                       absl::StatusOr<std::unique_ptr<CudaOps>> ops =
                           CudaOps::Create(options);
                       CHECK(ops.ok()) << ops.status();
                       return *std::move(ops);
                     }});
  }
  return cases;
}

}  // namespace blockserve
