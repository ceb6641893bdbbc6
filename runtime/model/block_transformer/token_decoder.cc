#include "runtime/model/block_transformer/token_decoder.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/base/status_macros.h"
#include "runtime/layers/rotary_table.h"
#include "runtime/model/block_transformer/strategy/load_strategy.h"

namespace blockserve {
namespace {

// Names of the embedding table and the head. Tied ones are stored under any or
// all of them, with equal contents.
struct TableAndHead {
  std::vector<std::string> table;
  std::string head;
  bool tied = false;
};

TableAndHead NamesOf(TrunkKind kind) {
  switch (kind) {
    case TrunkKind::kGptNeo:
      return {{"token_decoder.transformer.wte.weight"},
              "token_decoder.lm_head.weight",
              true};
    case TrunkKind::kT5:
      return {{"token_decoder.shared.weight",
               "token_decoder.decoder.embed_tokens.weight"},
              "token_decoder.lm_head.weight",
              true};
    default:
      return {{"token_decoder.gpt_neox.embed_in.weight"},
              "token_decoder.embed_out.weight",
              false};
  }
}

absl::Status CheckConfig(const ModelConfig& config,
                         const BlockPositions& block) {
  const TrunkConfig& trunk = config.token_decoder;
  if (trunk.kind == TrunkKind::kGptNeo &&
      trunk.max_positions < block.max_length) {
    return absl::InvalidArgumentError(absl::StrCat(
        "token_decoder.config.max_position_embeddings: expected at least ",
        block.max_length, ", got ", trunk.max_positions));
  }
  if (config.strategy == DecodingStrategy::kSummation &&
      config.expansion_ratio != config.block_length) {
    return absl::InvalidArgumentError(absl::StrCat(
        "token_decoder.expansion_ratio: summation needs block_length ",
        config.block_length, ", got ", config.expansion_ratio));
  }
  return absl::OkStatus();
}

}  // namespace

TokenDecoder::TokenDecoder(const ModelConfig& config,
                           const ModelOptions& options,
                           const TrunkContext& context, StepMetadata& metadata)
    : config_(config),
      context_(context),
      max_rows_(options.limits.max_rows_per_step),
      block_(BlockPositionsOf(config, options.prefix_positions)),
      metadata_(metadata),
      key_mask_(metadata.AddUint8(int64_t{max_rows_} * block_.max_length)) {}

absl::StatusOr<std::unique_ptr<TokenDecoder>> TokenDecoder::Load(
    const ModelConfig& config, const ModelOptions& options,
    const TrunkContext& context, WeightLoader& loader, StepMetadata& metadata,
    ScratchAllocator& scratch) {
  std::unique_ptr<TokenDecoder> decoder(
      new TokenDecoder(config, options, context, metadata));
  const BlockPositions& block = decoder->block_;
  RETURN_IF_ERROR(CheckConfig(config, block));
  RETURN_IF_ERROR(decoder->LoadTableAndHead(loader));
  ASSIGN_OR_RETURN(
      decoder->expansion_,
      Expansion::Load(config, decoder->max_rows_, loader, scratch));
  ASSIGN_OR_RETURN(decoder->strategy_,
                   LoadStrategy({.config = decoder->config_,
                                 .max_rows = decoder->max_rows_,
                                 .trunk = context,
                                 .table = decoder->table_,
                                 .scratch = scratch},
                                loader));

  const TrunkConfig& trunk = config.token_decoder;
  ASSIGN_OR_RETURN(RotaryTable rotary,
                   RotaryTable::Create(block.max_length + 1, trunk.rotary_dim(),
                                       trunk.rotary_base, scratch));
  ASSIGN_OR_RETURN(
      decoder->attention_,
      LocalLayerAttention::Create({.num_layers = trunk.num_layers,
                                   .num_heads = trunk.num_heads,
                                   .head_dim = trunk.head_dim,
                                   .max_rows = decoder->max_rows_,
                                   .max_length = block.max_length,
                                   .num_start_queries = block.num_start},
                                  block.positions, std::move(rotary),
                                  context.activations, scratch));
  RETURN_IF_ERROR(decoder->AllocateOutputs(scratch));
  return decoder;
}

absl::Status TokenDecoder::LoadTableAndHead(WeightLoader& loader) {
  const TrunkConfig& trunk = config_.token_decoder;
  const TableAndHead names = NamesOf(trunk.kind);
  std::vector<std::string> table_names = names.table;
  std::vector<std::string> head_names = {names.head};
  if (names.tied) {
    table_names.push_back(names.head);
    head_names.insert(head_names.end(), names.table.begin(), names.table.end());
  }
  ASSIGN_OR_RETURN(table_,
                   loader.LoadTable(loader.FirstStored(table_names),
                                    trunk.vocab_size, trunk.hidden_dim));
  // T5 scales what its head reads by dim^-0.5; the head's weights take it.
  const float scale =
      trunk.kind == TrunkKind::kT5
          ? 1.0f / std::sqrt(static_cast<float>(trunk.hidden_dim))
          : 1.0f;
  ASSIGN_OR_RETURN(
      head_, loader.LoadMatrix(loader.FirstStored(head_names), trunk.vocab_size,
                               trunk.hidden_dim,
                               {.scale = scale, .tied = names.tied}));
  for (const std::string& name : table_names) {
    loader.checkpoint().MarkUnused(name);
  }
  return absl::OkStatus();
}

absl::Status TokenDecoder::AllocateOutputs(ScratchAllocator& scratch) {
  const Ops& ops = context_.ops;
  const int64_t dim = config_.token_decoder.hidden_dim;
  const size_t element_size = SizeOf(ops.dtype());
  ASSIGN_OR_RETURN(output_, scratch.Allocate(ops.PaddedRows(max_rows_) * dim *
                                             element_size));
  if (!context_.observer.enabled()) return absl::OkStatus();
  const int64_t rows = ops.PaddedRows(int64_t{max_rows_} * block_.num_start);
  ASSIGN_OR_RETURN(all_outputs_, scratch.Allocate(rows * dim * element_size));
  ASSIGN_OR_RETURN(all_float_outputs_,
                   scratch.Allocate(rows * dim * sizeof(float)));
  return absl::OkStatus();
}

ActivationLimits TokenDecoder::ActivationLimitsOf(const ModelConfig& config,
                                                  const ModelLimits& limits) {
  const TrunkConfig& trunk = config.token_decoder;
  const BlockPositions block =
      BlockPositionsOf(config, PrefixPositions::kForward);
  return {.rows = int64_t{limits.max_rows_per_step} * block.num_start,
          .hidden_dim = trunk.hidden_dim,
          .attention_dim = int64_t{trunk.num_heads} * trunk.head_dim,
          .ffn_dim = trunk.ffn_dim};
}

void TokenDecoder::SetRows(absl::Span<const DecodeRow> rows) {
  has_hidden_tokens_ = false;
  const int length = block_.max_length;
  const absl::Span<uint8_t> key_mask = metadata_.Uint8(key_mask_);
  std::fill_n(key_mask.begin(), rows.size() * length, uint8_t{1});
  for (size_t row = 0; row < rows.size(); ++row) {
    const absl::Span<const uint8_t> forced_mask = rows[row].forced_mask;
    for (size_t offset = 0; offset < forced_mask.size(); ++offset) {
      // The token of `offset` is the input behind those of the first pass; the
      // last one of a block is no input.
      const int input = block_.num_start + static_cast<int>(offset);
      if (forced_mask[offset] != 0 || input >= length) continue;
      key_mask[row * length + input] = 0;
      has_hidden_tokens_ = true;
    }
  }
}

void TokenDecoder::Decode(const TensorView& contexts, int num_tokens,
                          StepTokens& tokens) {
  const int num_rows = tokens.num_rows();
  const TensorView expanded = expansion_->Expand(contexts);
  context_.observer.Show("expanded", expanded);
  attention_->BeginBlock(
      num_rows,
      has_hidden_tokens_
          ? metadata_.DeviceUint8(key_mask_, {num_rows, block_.max_length})
          : TensorView());
  for (int offset = 0; offset < num_tokens; ++offset) {
    const TensorView inputs = offset == 0
                                  ? strategy_->Begin(expanded)
                                  : strategy_->Next(expanded, tokens, offset);
    tokens.Sample(RunPass(inputs, num_rows), *head_, offset);
  }
}

TensorView TokenDecoder::RunPass(const TensorView& inputs, int num_rows) {
  const int64_t num_inputs = inputs.dim(0);
  const int64_t dim = inputs.dim(1);
  const DType dtype = context_.ops.dtype();
  const TensorView output = output_.View(dtype, {num_rows, dim});
  attention_->BeginPass(static_cast<int>(num_inputs / num_rows));
  TrunkPass pass;
  pass.residual = inputs;
  pass.position_ids = attention_->position_ids();
  pass.position_ids_stride = attention_->position_ids_stride();
  pass.attention = attention_.get();
  pass.output = output;
  if (!context_.observer.enabled()) {
    pass.outputs_only = num_inputs > num_rows;
    strategy_->trunk().Run(pass);
    return output;
  }

  const TensorView all = all_outputs_.View(dtype, {num_inputs, dim});
  pass.output = all;
  pass.float_output =
      all_float_outputs_.View(DType::kFloat32, {num_inputs, dim});
  strategy_->trunk().Run(pass);
  context_.observer.Show("token_decoder.output", pass.float_output);
  if (num_inputs == num_rows) return all;
  context_.ops.GatherRows(all, attention_->output_rows(), output);
  return output;
}

}  // namespace blockserve
