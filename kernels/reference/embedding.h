// Table look-ups and copies of rows and columns, as their definitions.
#ifndef BLOCKSERVE_KERNELS_REFERENCE_EMBEDDING_H_
#define BLOCKSERVE_KERNELS_REFERENCE_EMBEDDING_H_

#include <cstdint>

#include "kernels/api/ops.h"
#include "kernels/api/tensor_view.h"

namespace blockserve::reference {

void Embed(const EmbedArgs& args);
void Cast(const TensorView& input, const TensorView& output);
void GatherRows(const TensorView& input, const TensorView& indices,
                const TensorView& output);
void CopyColumns(const TensorView& input, int64_t column_begin,
                 const TensorView& output);

}  // namespace blockserve::reference

#endif  // BLOCKSERVE_KERNELS_REFERENCE_EMBEDDING_H_
