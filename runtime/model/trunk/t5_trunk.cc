#include "runtime/model/trunk/t5_trunk.h"

#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

absl::StatusOr<T5Layer> LoadLayer(const TrunkConfig& config,
                                  const std::string& prefix,
                                  WeightLoader& loader) {
  const int64_t dim = config.hidden_dim;
  const int64_t attention_dim = int64_t{config.num_heads} * config.head_dim;
  const std::string self = absl::StrCat(prefix, "0.SelfAttention.");
  const std::string cross = absl::StrCat(prefix, "1.EncDecAttention.");
  const std::string ffn = absl::StrCat(prefix, "2.DenseReluDense.");
  T5Layer layer;
  ASSIGN_OR_RETURN(layer.attention_norm,
                   loader.LoadRmsNorm(absl::StrCat(prefix, "0.layer_norm"), dim,
                                      config.norm_eps));
  ASSIGN_OR_RETURN(layer.cross_norm,
                   loader.LoadRmsNorm(absl::StrCat(prefix, "1.layer_norm"), dim,
                                      config.norm_eps));
  ASSIGN_OR_RETURN(layer.ffn_norm,
                   loader.LoadRmsNorm(absl::StrCat(prefix, "2.layer_norm"), dim,
                                      config.norm_eps));
  ASSIGN_OR_RETURN(
      layer.qkv,
      loader.LoadInterleavedHeads(
          {absl::StrCat(self, "q"), absl::StrCat(self, "k"),
           absl::StrCat(self, "v")},
          /*has_bias=*/false, config.num_heads, config.head_dim, dim));
  ASSIGN_OR_RETURN(
      layer.attention_output,
      loader.LoadDenseWithoutBias(absl::StrCat(self, "o"), dim, attention_dim));
  ASSIGN_OR_RETURN(layer.cross_query,
                   loader.LoadDenseWithoutBias(absl::StrCat(cross, "q"),
                                               attention_dim, dim));
  ASSIGN_OR_RETURN(
      layer.cross_key_value,
      loader.LoadInterleavedHeads(
          {absl::StrCat(cross, "k"), absl::StrCat(cross, "v")},
          /*has_bias=*/false, config.num_heads, config.head_dim, dim));
  ASSIGN_OR_RETURN(layer.cross_output,
                   loader.LoadDenseWithoutBias(absl::StrCat(cross, "o"), dim,
                                               attention_dim));
  ASSIGN_OR_RETURN(layer.ffn_up,
                   loader.LoadDenseWithoutBias(absl::StrCat(ffn, "wi"),
                                               config.ffn_dim, dim));
  ASSIGN_OR_RETURN(layer.ffn_down,
                   loader.LoadDenseWithoutBias(absl::StrCat(ffn, "wo"), dim,
                                               config.ffn_dim));
  return layer;
}

// The bias of each (head, query, key) of a block; keys behind the query are
// masked and keep 0.
absl::StatusOr<Buffer> LoadBias(const TrunkConfig& config,
                                const std::string& prefix, int max_length,
                                WeightLoader& loader,
                                ScratchAllocator& scratch) {
  const int num_buckets = config.relative_attention_num_buckets;
  ASSIGN_OR_RETURN(
      const std::vector<float> table,
      loader.LoadOnHost(
          absl::StrCat(
              prefix,
              "block.0.layer.0.SelfAttention.relative_attention_bias.weight"),
          {num_buckets, config.num_heads}));
  std::vector<float> bias(static_cast<size_t>(config.num_heads) * max_length *
                          max_length);
  for (int head = 0; head < config.num_heads; ++head) {
    for (int query = 0; query < max_length; ++query) {
      for (int key = 0; key <= query; ++key) {
        const int bucket = RelativeAttentionBucket(
            query - key, num_buckets, config.relative_attention_max_distance);
        bias[(static_cast<size_t>(head) * max_length + query) * max_length +
             key] =
            table[static_cast<size_t>(bucket) * config.num_heads + head];
      }
    }
  }
  return scratch.Upload(bias);
}

}  // namespace

int RelativeAttentionBucket(int distance, int num_buckets, int max_distance) {
  const int num_exact = num_buckets / 2;
  if (distance < num_exact) return distance;
  // fp32 as in the reference, whose rounding decides at the boundaries.
  const float ratio =
      std::log(static_cast<float>(distance) / static_cast<float>(num_exact)) /
      static_cast<float>(
          std::log(static_cast<double>(max_distance) / num_exact));
  const int bucket =
      num_exact +
      static_cast<int>(ratio * static_cast<float>(num_buckets - num_exact));
  return std::min(bucket, num_buckets - 1);
}

T5Trunk::T5Trunk(const TrunkConfig& config, std::string name,
                 const T5TrunkLimits& limits, const TrunkContext& context)
    : config_(config),
      name_(std::move(name)),
      limits_(limits),
      context_(context) {}

absl::StatusOr<std::unique_ptr<T5Trunk>> T5Trunk::Load(
    const TrunkConfig& config, const std::string& prefix,
    const std::string& name, const T5TrunkLimits& limits,
    const TrunkContext& context, WeightLoader& loader,
    ScratchAllocator& scratch) {
  std::unique_ptr<T5Trunk> trunk(new T5Trunk(config, name, limits, context));
  const int64_t memory_rows =
      context.ops.PaddedRows(int64_t{limits.max_rows} * limits.memory_length);
  const int64_t memory_dim = int64_t{2} * config.num_heads * config.head_dim;
  for (int l = 0; l < config.num_layers; ++l) {
    ASSIGN_OR_RETURN(
        T5Layer layer,
        LoadLayer(config, absl::StrCat(prefix, "block.", l, ".layer."),
                  loader));
    ASSIGN_OR_RETURN(layer.memory,
                     scratch.Allocate(memory_rows * memory_dim *
                                      SizeOf(context.ops.dtype())));
    trunk->layers_.push_back(std::move(layer));
  }
  ASSIGN_OR_RETURN(trunk->final_norm_,
                   loader.LoadRmsNorm(absl::StrCat(prefix, "final_layer_norm"),
                                      config.hidden_dim, config.norm_eps));
  ASSIGN_OR_RETURN(trunk->bias_, LoadBias(config, prefix, limits.max_length,
                                          loader, scratch));
  return trunk;
}

void T5Trunk::SetMemory(const TensorView& memory) {
  memory_rows_ = memory.dim(0) / limits_.memory_length;
  const DType dtype = context_.ops.dtype();
  for (const T5Layer& layer : layers_) {
    layer.cross_key_value.Apply(
        context_.ops, memory,
        layer.memory.View(dtype,
                          {memory.dim(0), layer.cross_key_value.out_dim()}));
  }
}

void T5Trunk::Run(const TrunkPass& pass) const {
  CHECK(!pass.outputs_only);
  const TensorView& x = pass.residual;
  for (int l = 0; l < config_.num_layers; ++l) {
    context_.observer.ShowLayerInput(name_, l, x);
    AddSelfAttention(l, pass);
    AddCrossAttention(layers_[l], x);
    AddFfn(layers_[l], x);
  }
  final_norm_.Apply(context_.ops, x, pass.output, pass.float_output);
}

void T5Trunk::AddSelfAttention(int l, const TrunkPass& pass) const {
  const T5Layer& layer = layers_[l];
  Ops& ops = context_.ops;
  const Activations& activations = context_.activations;
  const int64_t rows = pass.residual.dim(0);
  const int64_t num_heads = config_.num_heads;
  const int64_t head_dim = config_.head_dim;
  const int64_t length = limits_.max_length;

  const TensorView normed = activations.normed(rows, config_.hidden_dim);
  layer.attention_norm.Apply(ops, pass.residual, normed);
  const TensorView qkv = activations.qkv(rows, 3 * num_heads * head_dim);
  layer.qkv.Apply(ops, normed, qkv);
  const TensorView attended = activations.attention(rows, num_heads * head_dim);
  pass.attention->Attend(
      {.layer = l,
       .window = 0,
       .scale = 1.0f,  // folded into the initial weights of T5
       .bias = bias_.View(DType::kFloat32, {num_heads, length, length}),
       .qkv = qkv.Reshape({rows, num_heads, 3, head_dim}),
       .outputs_only = false,
       .output = attended.Reshape({rows, num_heads, head_dim})});
  layer.attention_output.AddTo(ops, attended, pass.residual);
}

void T5Trunk::AddCrossAttention(const T5Layer& layer,
                                const TensorView& x) const {
  Ops& ops = context_.ops;
  const Activations& activations = context_.activations;
  const int64_t rows = x.dim(0);
  const int64_t num_heads = config_.num_heads;
  const int64_t head_dim = config_.head_dim;

  const TensorView normed = activations.normed(rows, config_.hidden_dim);
  layer.cross_norm.Apply(ops, x, normed);
  const TensorView query = activations.qkv(rows, num_heads * head_dim);
  layer.cross_query.Apply(ops, normed, query);
  const TensorView attended = activations.attention(rows, num_heads * head_dim);
  ops.CrossAttention({.query = query.Reshape({rows, num_heads, head_dim}),
                      .memory = layer.memory.View(
                          ops.dtype(), {memory_rows_, limits_.memory_length,
                                        num_heads, 2, head_dim}),
                      .num_queries = static_cast<int>(rows / memory_rows_),
                      .scale = 1.0f,
                      .output = attended.Reshape({rows, num_heads, head_dim})});
  layer.cross_output.AddTo(ops, attended, x);
}

void T5Trunk::AddFfn(const T5Layer& layer, const TensorView& x) const {
  Ops& ops = context_.ops;
  const Activations& activations = context_.activations;
  const int64_t rows = x.dim(0);
  const TensorView normed = activations.normed(rows, config_.hidden_dim);
  layer.ffn_norm.Apply(ops, x, normed);
  const TensorView inner = activations.ffn(rows, config_.ffn_dim);
  layer.ffn_up.Apply(ops, normed, inner, Activation::kRelu);
  layer.ffn_down.AddTo(ops, inner, x);
}

}  // namespace blockserve
