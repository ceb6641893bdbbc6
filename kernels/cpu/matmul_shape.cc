#include "kernels/cpu/matmul_shape.h"

#include <algorithm>

namespace blockserve::cpu {
namespace {

using dnnl::memory;
using Tag = dnnl::memory::format_tag;
using Type = dnnl::memory::data_type;

void AppendActivation(Activation activation, dnnl::post_ops& post_ops) {
  switch (activation) {
    case Activation::kNone:
      return;
    case Activation::kGelu:
      post_ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_gelu_erf, 0, 0);
      return;
    case Activation::kGeluTanh:
      post_ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_gelu_tanh, 0, 0);
      return;
    case Activation::kRelu:
      post_ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0, 0);
      return;
  }
}

}  // namespace

MatmulPrimitive::MatmulPrimitive(
    const dnnl::matmul::primitive_desc& description, const dnnl::engine& engine)
    : primitive_(description),
      implementation_(description.impl_info_str()),
      has_bias_(!description.bias_desc().is_zero()),
      scratch_bytes_(description.scratchpad_desc().get_size()),
      input_(description.src_desc(), engine, nullptr),
      output_(description.dst_desc(), engine, nullptr),
      scratch_(description.scratchpad_desc(), engine, nullptr) {
  if (has_bias_) bias_ = memory(description.bias_desc(), engine, nullptr);
}

void MatmulPrimitive::Run(const void* input, const dnnl::memory& weight,
                          const float* bias, void* output, void* scratch,
                          const dnnl::stream& stream) {
  input_.set_data_handle(const_cast<void*>(input));
  output_.set_data_handle(output);
  scratch_.set_data_handle(scratch);
  // The C interface takes an array: no map is built for each product.
  std::array<dnnl_exec_arg_t, 5> arguments = {{
      {DNNL_ARG_SRC, input_.get()},
      {DNNL_ARG_WEIGHTS, weight.get()},
      {DNNL_ARG_DST, output_.get()},
      {DNNL_ARG_SCRATCHPAD, scratch_.get()},
  }};
  int num_arguments = 4;
  if (has_bias_) {
    bias_.set_data_handle(const_cast<float*>(bias));
    arguments[num_arguments++] = {DNNL_ARG_BIAS, bias_.get()};
  }
  dnnl::error::wrap_c_api(
      dnnl_primitive_execute(primitive_.get(), stream.get(), num_arguments,
                             arguments.data()),
      "matrix product failed");
}

MatmulShape::MatmulShape(const dnnl::engine& engine, DType dtype,
                         int64_t out_dim, int64_t in_dim)
    : engine_(engine),
      type_(dtype == DType::kBFloat16 ? Type::bf16 : Type::f32),
      out_dim_(out_dim),
      in_dim_(in_dim) {
  const memory::desc any_layout({in_dim, out_dim}, type_, Tag::any);
  for (int bucket = 0; bucket < kNumRowBuckets; ++bucket) {
    const memory::desc layout =
        Describe(Epilogue(), bucket, any_layout).weights_desc();
    auto found =
        std::find(weight_layouts_.begin(), weight_layouts_.end(), layout);
    if (found == weight_layouts_.end()) {
      found = weight_layouts_.insert(found, layout);
    }
    layout_of_bucket_[bucket] =
        static_cast<int>(found - weight_layouts_.begin());
  }
}

dnnl::matmul::primitive_desc MatmulShape::Describe(
    const Epilogue& epilogue, int bucket, const memory::desc& weight) const {
  const int64_t rows = kRowBuckets[bucket];
  const memory::desc input({rows, in_dim_}, type_, Tag::ab);
  const memory::desc bias({1, out_dim_}, Type::f32, Tag::ab);
  const memory::desc output({rows, out_dim_},
                            epilogue.float_output ? Type::f32 : type_, Tag::ab);
  dnnl::primitive_attr attributes;
  attributes.set_fpmath_mode(dnnl::fpmath_mode::strict);
  // The library's own scratch belongs to the thread that made the primitive;
  // executed by another one it gives wrong results without a word.
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::post_ops post_ops;
  AppendActivation(epilogue.activation, post_ops);
  if (epilogue.accumulate) post_ops.append_sum(1.0f);
  attributes.set_post_ops(post_ops);
  const dnnl::matmul::desc operation =
      epilogue.has_bias ? dnnl::matmul::desc(input, weight, bias, output)
                        : dnnl::matmul::desc(input, weight, output);
  return dnnl::matmul::primitive_desc(operation, attributes, engine_);
}

MatmulPrimitive& MatmulShape::Make(const Epilogue& epilogue, int bucket) {
  const memory::desc& layout = weight_layouts_[layout_of_bucket_[bucket]];
  auto& primitive = primitives_[epilogue.index()][bucket];
  primitive = std::make_unique<MatmulPrimitive>(
      Describe(epilogue, bucket, layout), engine_);
  return *primitive;
}

}  // namespace blockserve::cpu
