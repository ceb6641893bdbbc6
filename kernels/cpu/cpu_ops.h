// The CPU backend: oneDNN matrix products and Highway kernels.
#ifndef BLOCKSERVE_KERNELS_CPU_CPU_OPS_H_
#define BLOCKSERVE_KERNELS_CPU_CPU_OPS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "kernels/api/ops.h"

namespace blockserve {

// True where the CPU multiplies bf16 natively (AVX512-BF16 or AMX).
bool CpuHasBFloat16();

// `num_threads` 0: one per core this process may use. INVALID_ARGUMENT for
// kBFloat16 on a CPU whose oneDNN cannot make a bf16 primitive.
absl::StatusOr<std::unique_ptr<Ops>> CreateCpuOps(DType dtype, int num_threads);

}  // namespace blockserve

#endif  // BLOCKSERVE_KERNELS_CPU_CPU_OPS_H_
