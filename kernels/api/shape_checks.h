// The shapes and types that ops.h asks for, checked in one place for every
// backend. A wrong one is a bug of the caller: the process ends with a line
// that names the argument. Only extents are looked at, never the contents of a
// tensor, which may lie in a device's memory.
#ifndef BLOCKSERVE_KERNELS_API_SHAPE_CHECKS_H_
#define BLOCKSERVE_KERNELS_API_SHAPE_CHECKS_H_

#include <cstdint>

#include "kernels/api/attention_args.h"
#include "kernels/api/dtype.h"
#include "kernels/api/ops.h"
#include "kernels/api/sample_args.h"
#include "kernels/api/tensor_view.h"

namespace blockserve {

// `dtype` is the backend's T everywhere.
void CheckLinear(const LinearArgs& args, DType dtype);
void CheckLayerNorm(const LayerNormArgs& args, DType dtype);
void CheckDualLayerNorm(const DualLayerNormArgs& args, DType dtype);
void CheckRmsNorm(const RmsNormArgs& args, DType dtype);
void CheckEmbed(const EmbedArgs& args, DType dtype);
void CheckCast(const TensorView& input, const TensorView& output, DType dtype);
void CheckGatherRows(const TensorView& input, const TensorView& indices,
                     const TensorView& output, DType dtype);
void CheckCopyColumns(const TensorView& input, int64_t column_begin,
                      const TensorView& output, DType dtype);

void CheckRotaryStoreKv(const RotaryStoreKvArgs& args, DType dtype);
void CheckPagedAttention(const PagedAttentionArgs& args, DType dtype);
void CheckLocalAttention(const LocalAttentionArgs& args, DType dtype);
void CheckCrossAttention(const CrossAttentionArgs& args, DType dtype);

void CheckSampleTokens(const TensorView& input, const Matrix& head,
                       const SampleArgs& args, DType dtype);

}  // namespace blockserve

#endif  // BLOCKSERVE_KERNELS_API_SHAPE_CHECKS_H_
