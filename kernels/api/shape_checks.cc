#include "kernels/api/shape_checks.h"

#include <glog/logging.h>

#include <initializer_list>
#include <string>

#include "absl/strings/str_cat.h"

namespace blockserve {
namespace {

std::string Spell(DType dtype, std::initializer_list<int64_t> shape) {
  std::string text = absl::StrCat(std::string(NameOf(dtype)), " [");
  const char* separator = "";
  for (int64_t extent : shape) {
    absl::StrAppend(&text, separator, extent);
    separator = ", ";
  }
  return absl::StrCat(text, "]");
}

std::string Spell(const TensorView& view) {
  if (view.empty()) return "nothing";
  std::string text = absl::StrCat(std::string(NameOf(view.dtype())), " [");
  for (int i = 0; i < view.rank(); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ", ", view.dim(i));
  }
  return absl::StrCat(text, "]");
}

bool Matches(const TensorView& view, DType dtype,
             std::initializer_list<int64_t> shape) {
  if (view.empty() || view.dtype() != dtype) return false;
  if (view.rank() != static_cast<int>(shape.size())) return false;
  int i = 0;
  for (int64_t extent : shape) {
    if (view.dim(i++) != extent) return false;
  }
  return true;
}

void Expect(const char* name, const TensorView& view, DType dtype,
            std::initializer_list<int64_t> shape) {
  CHECK(Matches(view, dtype, shape))
      << name << ": expected " << Spell(dtype, shape) << ", got "
      << Spell(view);
}

void ExpectIfGiven(const char* name, const TensorView& view, DType dtype,
                   std::initializer_list<int64_t> shape) {
  if (!view.empty()) Expect(name, view, dtype, shape);
}

void ExpectRank(const char* name, const TensorView& view, int rank) {
  CHECK(!view.empty() && view.rank() == rank)
      << name << ": expected rank " << rank << ", got " << Spell(view);
}

// fp32 or T, with this shape.
void ExpectFloatOrT(const char* name, const TensorView& view, DType dtype,
                    std::initializer_list<int64_t> shape) {
  Expect(name, view, view.dtype() == dtype ? dtype : DType::kFloat32, shape);
}

void CheckRotary(const TensorView& rotary, const TensorView& positions,
                 int64_t num_positions, int64_t head_dim) {
  if (rotary.empty()) return;
  ExpectRank("rotary", rotary, 2);
  Expect("rotary", rotary, DType::kFloat32, {rotary.dim(0), rotary.dim(1)});
  CHECK(rotary.dim(1) % 2 == 0 && rotary.dim(1) <= head_dim)
      << "rotary_dim: expected an even number up to head_dim " << head_dim
      << ", got " << rotary.dim(1);
  Expect("positions", positions, DType::kInt32, {num_positions});
}

void CheckKvLayer(const KvLayer& cache, const TensorView& qkv, DType dtype) {
  ExpectRank("qkv", qkv, 4);
  Expect("qkv", qkv, dtype, {qkv.dim(0), cache.num_heads, 3, cache.head_dim});
  CHECK(cache.data != nullptr) << "cache without memory";
  CHECK_GT(cache.num_pages, 0);
}

}  // namespace

void CheckLinear(const LinearArgs& args, DType dtype) {
  CHECK(args.weight != nullptr) << "Linear without a weight";
  ExpectRank("input", args.input, 2);
  const int64_t rows = args.input.dim(0);
  const int64_t out_dim = args.weight->out_dim();
  Expect("input", args.input, dtype, {rows, args.weight->in_dim()});
  ExpectIfGiven("bias", args.bias, DType::kFloat32, {out_dim});
  ExpectFloatOrT("output", args.output, dtype, {rows, out_dim});
  CHECK(args.output.data() != args.input.data()) << "output aliases input";
  if (args.accumulate) {
    CHECK(args.output.dtype() == DType::kFloat32 &&
          args.activation == Activation::kNone)
        << "accumulate needs a float output and no activation";
  }
}

void CheckLayerNorm(const LayerNormArgs& args, DType dtype) {
  ExpectRank("input", args.input, 2);
  const int64_t rows = args.input.dim(0);
  const int64_t dim = args.input.dim(1);
  Expect("input", args.input, DType::kFloat32, {rows, dim});
  Expect("gamma", args.gamma, DType::kFloat32, {dim});
  Expect("beta", args.beta, DType::kFloat32, {dim});
  ExpectIfGiven("output", args.output, dtype, {rows, dim});
  ExpectIfGiven("float_output", args.float_output, DType::kFloat32,
                {rows, dim});
}

void CheckDualLayerNorm(const DualLayerNormArgs& args, DType dtype) {
  ExpectRank("input", args.input, 2);
  const int64_t rows = args.input.dim(0);
  const int64_t dim = args.input.dim(1);
  Expect("input", args.input, DType::kFloat32, {rows, dim});
  Expect("gamma_a", args.gamma_a, DType::kFloat32, {dim});
  Expect("beta_a", args.beta_a, DType::kFloat32, {dim});
  Expect("gamma_b", args.gamma_b, DType::kFloat32, {dim});
  Expect("beta_b", args.beta_b, DType::kFloat32, {dim});
  Expect("output_a", args.output_a, dtype, {rows, dim});
  Expect("output_b", args.output_b, dtype, {rows, dim});
}

void CheckRmsNorm(const RmsNormArgs& args, DType dtype) {
  ExpectRank("input", args.input, 2);
  const int64_t rows = args.input.dim(0);
  const int64_t dim = args.input.dim(1);
  Expect("input", args.input, DType::kFloat32, {rows, dim});
  Expect("gamma", args.gamma, DType::kFloat32, {dim});
  ExpectIfGiven("output", args.output, dtype, {rows, dim});
  ExpectIfGiven("float_output", args.float_output, DType::kFloat32,
                {rows, dim});
}

void CheckEmbed(const EmbedArgs& args, DType dtype) {
  ExpectRank("table", args.table, 2);
  ExpectRank("output", args.output, 2);
  const int64_t rows = args.output.dim(0);
  Expect("table", args.table, dtype, {args.table.dim(0), args.table.dim(1)});
  Expect("output", args.output, DType::kFloat32, {rows, args.table.dim(1)});
  CHECK(!args.ids.empty() && args.ids.dtype() == DType::kInt32)
      << "ids: expected int32, got " << Spell(args.ids);
  CHECK_GE(args.ids_stride, 0);
  if (rows > 0) {
    CHECK_GE(args.ids.num_elements(), (rows - 1) * args.ids_stride + 1)
        << "ids: too few for " << rows << " rows";
  }
}

void CheckCast(const TensorView& input, const TensorView& output, DType dtype) {
  for (const TensorView* view : {&input, &output}) {
    CHECK(!view->empty() &&
          (view->dtype() == dtype || view->dtype() == DType::kFloat32))
        << "Cast: expected fp32 or " << NameOf(dtype) << ", got "
        << Spell(*view);
  }
  CHECK_EQ(input.num_elements(), output.num_elements());
}

void CheckGatherRows(const TensorView& input, const TensorView& indices,
                     const TensorView& output, DType dtype) {
  ExpectRank("input", input, 2);
  ExpectRank("indices", indices, 1);
  ExpectFloatOrT("input", input, dtype, {input.dim(0), input.dim(1)});
  Expect("indices", indices, DType::kInt32, {indices.dim(0)});
  Expect("output", output, input.dtype(), {indices.dim(0), input.dim(1)});
  CHECK(output.data() != input.data()) << "output aliases input";
}

void CheckCopyColumns(const TensorView& input, int64_t column_begin,
                      const TensorView& output, DType dtype) {
  ExpectRank("input", input, 2);
  ExpectRank("output", output, 2);
  ExpectFloatOrT("input", input, dtype, {input.dim(0), input.dim(1)});
  Expect("output", output, input.dtype(), {input.dim(0), output.dim(1)});
  CHECK(column_begin >= 0 && column_begin + output.dim(1) <= input.dim(1))
      << "columns [" << column_begin << ", " << column_begin + output.dim(1)
      << ") of " << Spell(input);
  CHECK(output.data() != input.data()) << "output aliases input";
}

void CheckRotaryStoreKv(const RotaryStoreKvArgs& args, DType dtype) {
  CheckKvLayer(args.cache, args.qkv, dtype);
  const int64_t rows = args.qkv.dim(0);
  CheckRotary(args.rotary, args.positions, rows, args.cache.head_dim);
  Expect("slots", args.slots, DType::kInt32, {rows});
}

void CheckPagedAttention(const PagedAttentionArgs& args, DType dtype) {
  CheckKvLayer(args.cache, args.qkv, dtype);
  const int64_t rows = args.qkv.dim(0);
  ExpectRank("query_offsets", args.query_offsets, 1);
  CHECK_GE(args.query_offsets.dim(0), 1);
  const int64_t num_sequences = args.query_offsets.dim(0) - 1;
  Expect("query_offsets", args.query_offsets, DType::kInt32,
         {num_sequences + 1});
  ExpectRank("page_table", args.page_table, 2);
  Expect("page_table", args.page_table, DType::kInt32,
         {num_sequences, args.page_table.dim(1)});
  Expect("key_begin", args.key_begin, DType::kInt32, {rows});
  Expect("key_end", args.key_end, DType::kInt32, {rows});
  Expect("output", args.output, dtype,
         {rows, args.cache.num_heads, args.cache.head_dim});
  CHECK(args.output.data() != args.qkv.data()) << "output aliases qkv";
}

void CheckLocalAttention(const LocalAttentionArgs& args, DType dtype) {
  CHECK_GT(args.num_queries, 0);
  ExpectRank("qkv", args.qkv, 4);
  const int64_t num_positions = args.qkv.dim(0);
  const int64_t num_heads = args.qkv.dim(1);
  const int64_t head_dim = args.qkv.dim(3);
  CHECK_EQ(num_positions % args.num_queries, 0)
      << "qkv: expected a multiple of num_queries rows";
  const int64_t rows = num_positions / args.num_queries;
  Expect("qkv", args.qkv, dtype, {num_positions, num_heads, 3, head_dim});
  CHECK_GE(args.past_length, 0);
  CHECK_LE(args.past_length + args.num_queries, args.max_length)
      << "past_length + num_queries exceeds max_length";
  CheckRotary(args.rotary, args.positions, args.num_queries, head_dim);
  ExpectIfGiven("key_mask", args.key_mask, DType::kUint8,
                {rows, args.max_length});
  ExpectIfGiven("bias", args.bias, DType::kFloat32,
                {num_heads, args.max_length, args.max_length});
  if (args.causal) {
    CHECK(args.cache != nullptr) << "causal attention needs a cache";
  } else {
    CHECK_EQ(args.past_length, 0) << "without causal order there is no past";
  }
  Expect("output", args.output, dtype, {num_positions, num_heads, head_dim});
  CHECK(args.output.data() != args.qkv.data()) << "output aliases qkv";
}

void CheckCrossAttention(const CrossAttentionArgs& args, DType dtype) {
  CHECK_GT(args.num_queries, 0);
  ExpectRank("query", args.query, 3);
  ExpectRank("memory", args.memory, 5);
  const int64_t num_positions = args.query.dim(0);
  const int64_t num_heads = args.query.dim(1);
  const int64_t head_dim = args.query.dim(2);
  CHECK_EQ(num_positions % args.num_queries, 0)
      << "query: expected a multiple of num_queries rows";
  Expect("query", args.query, dtype, {num_positions, num_heads, head_dim});
  Expect("memory", args.memory, dtype,
         {num_positions / args.num_queries, args.memory.dim(1), num_heads, 2,
          head_dim});
  Expect("output", args.output, dtype, {num_positions, num_heads, head_dim});
}

void CheckSampleTokens(const TensorView& input, const Matrix& head,
                       const SampleArgs& args, DType dtype) {
  const int64_t rows = static_cast<int64_t>(args.rows.size());
  const int64_t vocab_size = head.out_dim();
  Expect("input", input, dtype, {rows, head.in_dim()});
  ExpectRank("tokens", args.tokens, 2);
  const int64_t tokens_per_step = args.tokens.dim(1);
  Expect("tokens", args.tokens, DType::kInt32, {rows, tokens_per_step});
  CHECK(args.offset >= 0 && args.offset < tokens_per_step)
      << "offset " << args.offset << " of " << tokens_per_step;
  bool wants_logprobs = false;
  bool wants_alternatives = false;
  for (const SampleRow& row : args.rows) {
    CHECK_LE(row.num_logprobs, kMaxLogprobs);
    CHECK_EQ(row.bias_ids.size(), row.bias_values.size());
    wants_logprobs |= row.num_logprobs >= 0;
    wants_alternatives |= row.num_logprobs > 0;
  }
  if (wants_logprobs) {
    Expect("logprobs", args.logprobs, DType::kFloat32, {rows, tokens_per_step});
  }
  if (wants_alternatives) {
    Expect("top_ids", args.top_ids, DType::kInt32,
           {rows, tokens_per_step, kMaxLogprobs});
    Expect("top_logprobs", args.top_logprobs, DType::kFloat32,
           {rows, tokens_per_step, kMaxLogprobs});
  }
  ExpectIfGiven("logits", args.logits, DType::kFloat32, {rows, vocab_size});
}

}  // namespace blockserve
