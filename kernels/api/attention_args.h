// Arguments of the attention operations (kernels/api/ops.h).
//
// Wherever queries, keys and values come out of one projection they lie as
// `qkv [rows, num_heads, 3, head_dim]`: query, key and value of a head side by
// side. This is GPT-NeoX's own layout; weights of other families are put into
// it when they are loaded, so that one rank's heads are one range of rows.
//
// A query without a visible key gets a zero output row. What is not visible may
// hold anything, NaN included; NaN in a query, in a visible key or in a visible
// value makes its outputs NaN, so that a broken request is noticed. Scores,
// softmax and sums are fp32 or wider; rotated vectors, cached keys and values,
// and outputs are rounded to T, and so may be the weights that paged attention
// multiplies with the values, since matrix units take them so.
#ifndef BLOCKSERVE_KERNELS_API_ATTENTION_ARGS_H_
#define BLOCKSERVE_KERNELS_API_ATTENTION_ARGS_H_

#include <cstdint>

#include "kernels/api/tensor_view.h"

namespace blockserve {

// One layer of the paged KV cache. The layout inside a page is the backend's
// own; the size of a page is Ops::KvPageBytes.
struct KvLayer {
  void* data = nullptr;  // [num_pages] pages
  int num_pages = 0;
  int num_heads = 0;
  int head_dim = 0;
};

// Rotates queries and keys by their positions and appends keys and values to
// the paged cache (FORMAT.md 5.1).
struct RotaryStoreKvArgs {
  // T [rows, num_heads, 3, head_dim]; queries are rotated in place, keys may
  // be.
  TensorView qkv;
  // float [num_positions, rotary_dim]: rotary_dim / 2 cosines, then as many
  // sines; empty: no rotation. With h = rotary_dim / 2, elements i and i + h of
  // a head turn together, i < h; the rest stays.
  TensorView rotary = {};
  TensorView positions = {};  // int32 [rows], < num_positions; with `rotary`
  TensorView slots;  // int32 [rows]: page * kPageLength + offset in it;
                     // -1: nobody sees the row's key, store nothing
  KvLayer cache;
};

// Attention of each row over a range of its sequence's cached keys.
struct PagedAttentionArgs {
  TensorView qkv;  // T [rows, num_heads, 3, head_dim]; queries are read
  TensorView query_offsets;  // int32 [num_sequences + 1]: the rows of sequence
                             // s are [query_offsets[s], query_offsets[s + 1]);
                             // the first is 0, the last is `rows`
  TensorView page_table;     // int32 [num_sequences, max_pages]: key k lies in
                             // page [k / kPageLength]; entries of pages
                             // without a visible key are not read
  TensorView key_begin;      // int32 [rows]: keys [key_begin, key_end) of the
  TensorView key_end;        // int32 [rows]  sequence are visible, within
                             // [0, max_pages * kPageLength); none (the output
                             // row is zero) if key_end <= key_begin
  float scale = 1.0f;        // scores are scale * q.k
  KvLayer cache;
  TensorView output;  // T [rows, num_heads, head_dim]; not `qkv`
};

// Attention of a block's few positions over each other, with a small dense
// cache per row: the token decoder's, dropped when the block ends. Appends the
// keys and values of the new positions, then attends. New position i of a row
// is its position past_length + i in the mask, the bias and the window.
struct LocalAttentionArgs {
  TensorView qkv;  // T [rows * num_queries, num_heads, 3, head_dim]; may be
                   // rotated in place
  int num_queries = 0;  // new positions per row
  int past_length = 0;  // positions already in the cache
  int max_length = 0;   // positions a row of the cache holds
                        // (>= past_length + num_queries)
  bool causal = true;   // position i sees j <= i; else all num_queries of them
                        // (past_length is 0, `cache` may be null)
  int window = 0;       // > 0: position i sees only j > i - window
  float scale = 1.0f;
  TensorView rotary = {};     // as in RotaryStoreKvArgs, or empty
  TensorView positions = {};  // int32 [num_queries], shared by all rows; needed
                              // with `rotary`
  TensorView key_mask = {};   // uint8 [rows, max_length], 0 = hidden from every
                              // query; empty: all visible
  TensorView bias = {};   // float [num_heads, max_length, max_length] added to
                          // the scaled scores of (query, key), or empty
  void* cache = nullptr;  // Ops::LocalKvBytes(rows, ...) bytes
  TensorView output;      // T [rows * num_queries, num_heads, head_dim]
};

// Attention of a row's queries over its `memory_length` memory vectors; no
// mask, no bias (T5's cross attention, FORMAT.md 5.7).
struct CrossAttentionArgs {
  TensorView query;   // T [rows * num_queries, num_heads, head_dim]
  TensorView memory;  // T [rows, memory_length, num_heads, 2, head_dim]: K, V
  int num_queries = 0;
  float scale = 1.0f;
  TensorView output;  // T [rows * num_queries, num_heads, head_dim]
};

}  // namespace blockserve

#endif  // BLOCKSERVE_KERNELS_API_ATTENTION_ARGS_H_
