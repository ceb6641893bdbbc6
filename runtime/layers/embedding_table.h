// A table of vectors looked up by id: word or position embeddings.
#ifndef BLOCKSERVE_RUNTIME_LAYERS_EMBEDDING_TABLE_H_
#define BLOCKSERVE_RUNTIME_LAYERS_EMBEDDING_TABLE_H_

#include <cstdint>

#include "kernels/api/buffer.h"
#include "kernels/api/dtype.h"
#include "kernels/api/ops.h"
#include "kernels/api/tensor_view.h"

namespace blockserve {

// Immutable once loaded (WeightLoader).
struct EmbeddingTable {
  Buffer data;  // T [num_rows, dim]
  int64_t num_rows = 0;
  int64_t dim = 0;

  // output[i] = table[ids[i * ids_stride]].  output: float [rows, dim]
  void Lookup(Ops& ops, const TensorView& ids, const TensorView& output,
              int64_t ids_stride = 1) const {
    Embed(ops, ids, output, ids_stride, /*accumulate=*/false);
  }
  // output[i] += table[ids[i * ids_stride]].
  void AddTo(Ops& ops, const TensorView& ids, const TensorView& output,
             int64_t ids_stride = 1) const {
    Embed(ops, ids, output, ids_stride, /*accumulate=*/true);
  }

 private:
  void Embed(Ops& ops, const TensorView& ids, const TensorView& output,
             int64_t ids_stride, bool accumulate) const {
    ops.Embed({.ids = ids,
               .ids_stride = ids_stride,
               .table = data.View(ops.dtype(), {num_rows, dim}),
               .accumulate = accumulate,
               .output = output});
  }
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_LAYERS_EMBEDDING_TABLE_H_
