// What a test can ask of the fake cuBLASLt that it is linked with.
//
// The fake multiplies on the host, on fake streams, and refuses what the real
// library refuses: shapes that do not fit, types it has no kernels for,
// attributes of a wrong size, an algorithm of another problem, pointers that
// are less aligned than the algorithm was promised. It spoils the workspace.
// Its GELU is the tanh form, as the library's. What it computes is rounded
// once; sums are fp32, in an order of its own.
#ifndef BLOCKSERVE_KERNELS_CUDA_HOST_FAKE_CUBLASLT_H_
#define BLOCKSERVE_KERNELS_CUDA_HOST_FAKE_CUBLASLT_H_

#include <cstdint>

namespace blockserve {

// How often an algorithm was looked for since the process began.
int64_t NumMatmulHeuristics();
// The `nth` next cublasLtMatmul is not supported. 1: the next.
void FailMatmul(int nth);

}  // namespace blockserve

#endif  // BLOCKSERVE_KERNELS_CUDA_HOST_FAKE_CUBLASLT_H_
