// Rotation of queries and keys, and storing of keys and values in the pages.
#ifndef BLOCKSERVE_KERNELS_CPU_ROTARY_STORE_KV_H_
#define BLOCKSERVE_KERNELS_CPU_ROTARY_STORE_KV_H_

#include "kernels/api/attention_args.h"

namespace blockserve::cpu {

// T: float or BFloat16. The page layout is that of kv_page.h.
template <typename T>
void RotaryStoreKv(const RotaryStoreKvArgs& args, int num_threads);

}  // namespace blockserve::cpu

#endif  // BLOCKSERVE_KERNELS_CPU_ROTARY_STORE_KV_H_
