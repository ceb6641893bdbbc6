// The reference backend in both types against itself in fp32: what the suite
// says of aliasing, padding, guards and sampling, and how far bf16 is off.
// That its numbers are right is tested beside its sources.
#include "kernels/conformance/ops_conformance_test.h"
#include "kernels/reference/reference_ops.h"

namespace blockserve {

std::vector<BackendCase> BackendCases() {
  return {
      {"reference_fp32", [] { return CreateReferenceOps(DType::kFloat32); }},
      {"reference_bf16", [] { return CreateReferenceOps(DType::kBFloat16); }}};
}

}  // namespace blockserve
