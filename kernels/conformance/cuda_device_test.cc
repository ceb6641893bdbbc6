// The CUDA backend on a device.
#include <glog/logging.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/conformance/ops_conformance_test.h"
#include "kernels/cuda/cuda_ops.h"

namespace blockserve {

std::vector<BackendCase> BackendCases() {
  std::vector<BackendCase> cases;
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    cases.push_back({absl::StrCat("cuda_", std::string(NameOf(dtype))),
                     [dtype]() -> std::unique_ptr<Ops> {
                       CudaOptions options;
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
