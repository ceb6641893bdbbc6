// Memory that nobody has written yet.
#ifndef BLOCKSERVE_KERNELS_CUDA_HOST_POISON_H_
#define BLOCKSERVE_KERNELS_CUDA_HOST_POISON_H_

#include <cstddef>

namespace blockserve::cuda_host {

// Sets all bits: NaN as fp32, fp16 and bf16, -1 as an index. Not by memset,
// which ThreadSanitizer would take for a write that races with the kernel's.
inline void Poison(void* data, size_t num_bytes) {
  asm volatile("rep stosb"
               : "+D"(data), "+c"(num_bytes)
               : "a"(0xff)
               : "memory");
}

}  // namespace blockserve::cuda_host

#endif  // BLOCKSERVE_KERNELS_CUDA_HOST_POISON_H_
