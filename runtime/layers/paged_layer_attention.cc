#include "runtime/layers/paged_layer_attention.h"

namespace blockserve {

void PagedLayerAttention::Attend(const LayerAttentionArgs& args) {
  const KvLayer layer = cache_.layer(args.layer);
  ops_.RotaryStoreKv({.qkv = args.qkv,
                      .rotary = rotary_.view(),
                      .positions = pass_.positions,
                      .slots = pass_.slots,
                      .cache = layer});
  TensorView queries = args.qkv;
  if (args.outputs_only) {
    const int64_t num_outputs = pass_.output_rows.dim(0);
    if (num_outputs == 0) return;
    const int64_t row_dim = 3 * layer.num_heads * layer.head_dim;
    const TensorView gathered = activations_.gathered(num_outputs, row_dim);
    ops_.GatherRows(args.qkv.Reshape({args.qkv.dim(0), row_dim}),
                    pass_.output_rows, gathered);
    queries =
        gathered.Reshape({num_outputs, layer.num_heads, 3, layer.head_dim});
  }
  const PagedRows& rows = args.outputs_only ? pass_.outputs : pass_.rows;
  ops_.PagedAttention(
      {.qkv = queries,
       .query_offsets = rows.query_offsets,
       .page_table = pass_.page_table,
       .key_begin = args.window > 0 ? rows.window_key_begin : rows.key_begin,
       .key_end = rows.key_end,
       .scale = args.scale,
       .cache = layer,
       .output = args.output});
}

}  // namespace blockserve
