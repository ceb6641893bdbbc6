// Embedding look-up, conversion between fp32 and T, and copies of rows.
#ifndef BLOCKSERVE_KERNELS_CPU_ELEMENTWISE_H_
#define BLOCKSERVE_KERNELS_CPU_ELEMENTWISE_H_

#include <cstdint>

#include "kernels/api/ops.h"

namespace blockserve::cpu {

void Embed(const EmbedArgs& args, int num_threads);
void Cast(const TensorView& input, const TensorView& output, int num_threads);
void GatherRows(const TensorView& input, const TensorView& indices,
                const TensorView& output, int num_threads);
void CopyColumns(const TensorView& input, int64_t column_begin,
                 const TensorView& output, int num_threads);

}  // namespace blockserve::cpu

#endif  // BLOCKSERVE_KERNELS_CPU_ELEMENTWISE_H_
