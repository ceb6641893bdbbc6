// The CUDA backend on the host, with threads in one of the orders that a device
// may take: BLOCKSERVE_POLICY is an index of cuda_host::kPolicies (BUILD.bazel
// makes a test of each).
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
constexpr CudaOptions kSmall = {.workspace_bytes = 1 << 16,
                                .scratch_bytes = 1 << 16,
                                .staging_bytes = 1 << 16};

cuda_host::Policy PolicyOfTest() {
  const char* const index = std::getenv("BLOCKSERVE_POLICY");
  CHECK(index != nullptr);
  return cuda_host::kPolicies[std::atoi(index)];
}

}  // namespace

std::vector<BackendCase> BackendCases() {
  cuda_host::SetSchedule({.policy = PolicyOfTest(), .seed = 1});
  std::vector<BackendCase> cases;
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    cases.push_back({absl::StrCat("cuda_host_", std::string(NameOf(dtype))),
                     [dtype]() -> std::unique_ptr<Ops> {
                       CudaOptions options = kSmall;
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
