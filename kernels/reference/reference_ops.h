// The plain backend: every operation written as its definition. The truth the
// others are compared with (kernels/conformance).
#ifndef BLOCKSERVE_KERNELS_REFERENCE_REFERENCE_OPS_H_
#define BLOCKSERVE_KERNELS_REFERENCE_REFERENCE_OPS_H_

#include <memory>

#include "kernels/api/ops.h"

namespace blockserve {

// `dtype` kFloat32 or kBFloat16: storage type of activations and weights;
// arithmetic is fp32 or wider. Single-threaded.
std::unique_ptr<Ops> CreateReferenceOps(DType dtype);

}  // namespace blockserve

#endif  // BLOCKSERVE_KERNELS_REFERENCE_REFERENCE_OPS_H_
