#include "runtime/model/block_transformer/block_transformer_model.h"

#include <algorithm>

#include "runtime/base/status_macros.h"
#include "runtime/model/block_transformer/embedder/load_embedder.h"
#include "runtime/model/part_sizes.h"

namespace blockserve {
namespace {

// Ids go through both tables: a generated one is embedded in the next step.
int VocabSize(const ModelConfig& config) {
  return std::min(config.embedder.vocab_size, config.token_decoder.vocab_size);
}

// The token decoder sees this rank's rows alone.
ModelOptions OptionsOfOwnRows(const ModelOptions& options) {
  ModelOptions own = options;
  int& max_rows = own.limits.max_rows_per_step;
  max_rows = std::max<int>(
      1, static_cast<int>(GroupOf(options).RowsOf(max_rows).size()));
  return own;
}

}  // namespace

BlockTransformerModel::BlockTransformerModel(const ModelConfig& config,
                                             const ModelOptions& options,
                                             Ops& ops)
    : config_(config),
      rules_(
          {.limits = options.limits,
           .tokens_per_step = config.block_length,
           .vocab_size = VocabSize(config),
           .max_positions = CachedTrunk::MaxPositions(config.block_decoder)}),
      group_(GroupOf(options)),
      ops_(ops),
      observer_(options.observer, ops),
      on_part_(options.on_part),
      scratch_(ops),
      replay_(options.limits, config.block_length, options.observer != nullptr,
              group_, ops) {}

absl::StatusOr<std::unique_ptr<Model>> BlockTransformerModel::Load(
    const ModelConfig& config, const ModelOptions& options,
    WeightLoader& loader) {
  std::unique_ptr<BlockTransformerModel> model(
      new BlockTransformerModel(config, options, loader.ops()));
  RETURN_IF_ERROR(model->LoadParts(options, loader));
  return model;
}

absl::Status BlockTransformerModel::LoadParts(const ModelOptions& options,
                                              WeightLoader& loader) {
  const ModelLimits& limits = options.limits;
  const ModelOptions own_rows = OptionsOfOwnRows(options);
  const std::vector<ActivationLimits> activations = {
      EmbedderActivationLimits(config_, limits.max_units_per_step),
      CachedTrunk::ActivationLimitsOf(config_.block_decoder, limits, group_),
      TokenDecoder::ActivationLimitsOf(config_, own_rows.limits)};
  ASSIGN_OR_RETURN(activations_, Activations::Create(activations, scratch_));
  const TrunkContext context{ops_, *activations_, observer_};

  loader.BeginPart("embedder");
  ASSIGN_OR_RETURN(embedder_,
                   LoadEmbedder({.config = config_,
                                 .max_blocks = limits.max_units_per_step,
                                 .trunk = context,
                                 .metadata = metadata_,
                                 .scratch = scratch_},
                                loader));
  loader.BeginPart("block_decoder");
  ASSIGN_OR_RETURN(block_decoder_,
                   CachedTrunk::Load(config_.block_decoder, "block_decoder.",
                                     limits, config_.block_length, group_,
                                     context, loader, metadata_, scratch_));
  // Stored by the reference, never read: blocks have no ids.
  loader.checkpoint().MarkUnused("block_decoder.gpt_neox.embed_in.weight");
  loader.checkpoint().MarkUnused("block_decoder.transformer.wte.weight");
  loader.BeginPart("token_decoder");
  ASSIGN_OR_RETURN(token_decoder_,
                   TokenDecoder::Load(config_, own_rows, context, loader,
                                      metadata_, scratch_));
  ASSIGN_OR_RETURN(tokens_,
                   StepTokens::Create(limits, config_.block_length,
                                      config_.token_decoder.vocab_size, group_,
                                      observer_, metadata_, scratch_));
  RETURN_IF_ERROR(metadata_.Allocate(scratch_));
  parts_ = PartSizesOf(loader);

  int64_t max_rows = limits.max_units_per_step;
  for (const ActivationLimits& limit : activations) {
    max_rows = std::max(max_rows, limit.rows);
  }
  max_rows = std::max(max_rows, int64_t{own_rows.limits.max_rows_per_step} *
                                    config_.expansion_ratio);
  return ops_.Reserve({.max_rows = max_rows,
                       .max_sample_rows = limits.max_rows_per_step,
                       .vocab_size = config_.token_decoder.vocab_size});
}

absl::StatusOr<StepOutput> BlockTransformerModel::Step(
    const StepInput& wanted) {
  RETURN_IF_ERROR(ValidateStep(wanted, rules_));
  if (wanted.chunks.empty()) return StepOutput{};
  BeginPart(StepPart::kInput);
  const StepInput input = replay_.Begin(wanted);
  SetInput(input);
  const uint32_t variant = (tokens_->wants_alternatives() ? 1 : 0) |
                           (token_decoder_->has_hidden_tokens() ? 2 : 0);
  replay_.Run(variant, [&] { Enqueue(input); });
  if (!input.rows.empty()) tokens_->ReadBack();
  RETURN_IF_ERROR(replay_.Synchronize());
  return tokens_->output(wanted.rows.size());
}

void BlockTransformerModel::Enqueue(const StepInput& input) {
  const PagedBatch& batch = block_decoder_->batch();
  const TensorView blocks = block_decoder_->residual();
  BeginPart(StepPart::kEmbedder);
  embedder_->Embed(batch.num_units(), blocks);  // [num_units, block_dim]
  observer_.Show("embedder.output", blocks);
  // [num_own_rows, block_dim]: what follows is data-parallel.
  BeginPart(StepPart::kCachedTrunk);
  const TensorView contexts = block_decoder_->Run();
  if (input.rows.empty()) return;
  if (tokens_->num_rows() > 0) {
    BeginPart(StepPart::kTokenDecoder);
    token_decoder_->Decode(contexts, input.num_tokens, *tokens_);
  }
  BeginPart(StepPart::kOutput);
  tokens_->Exchange();
}

void BlockTransformerModel::SetInput(const StepInput& input) {
  int unit = 0;
  for (const SequenceChunk& chunk : input.chunks) {
    embedder_->SetBlocks(unit, chunk.tokens, chunk.token_mask);
    unit += static_cast<int>(chunk.tokens.size()) / config_.block_length;
  }
  block_decoder_->batch().Fill(input.chunks);
  const ShardRange own = group_.RowsOf(static_cast<int64_t>(input.rows.size()));
  token_decoder_->SetRows(input.rows.subspan(own.begin, own.size()));
  tokens_->Fill(input.rows);
  metadata_.Upload(ops_);
}

size_t BlockTransformerModel::kv_bytes_per_page() const {
  return CachedTrunk::KvBytesPerPage(config_.block_decoder, group_, ops_);
}

}  // namespace blockserve
