#include "runtime/model/gpt_neox/gpt_neox_model.h"

#include <algorithm>

#include "runtime/base/status_macros.h"
#include "runtime/model/part_sizes.h"

namespace blockserve {

GptNeoXModel::GptNeoXModel(const ModelConfig& config,
                           const ModelOptions& options, Ops& ops)
    : config_(config),
      rules_(
          {.limits = options.limits,
           .tokens_per_step = 1,
           .vocab_size = config.token_decoder.vocab_size,
           .max_positions = CachedTrunk::MaxPositions(config.token_decoder)}),
      group_(GroupOf(options)),
      ops_(ops),
      observer_(options.observer, ops),
      on_part_(options.on_part),
      scratch_(ops),
      ids_(metadata_.AddInt32(options.limits.max_units_per_step)),
      replay_(options.limits, /*tokens_per_unit=*/1,
              options.observer != nullptr, group_, ops) {}

absl::StatusOr<std::unique_ptr<Model>> GptNeoXModel::Load(
    const ModelConfig& config, const ModelOptions& options,
    WeightLoader& loader) {
  if (config.token_decoder.kind != TrunkKind::kGptNeoX) {
    return absl::UnimplementedError(
        "model: a vanilla model must be of kind gpt-neo-x");
  }
  std::unique_ptr<GptNeoXModel> model(
      new GptNeoXModel(config, options, loader.ops()));
  RETURN_IF_ERROR(model->LoadParts(loader));
  return model;
}

absl::Status GptNeoXModel::LoadParts(WeightLoader& loader) {
  const TrunkConfig& trunk = config_.token_decoder;
  const ModelLimits& limits = rules_.limits;
  ASSIGN_OR_RETURN(
      activations_,
      Activations::Create(
          {CachedTrunk::ActivationLimitsOf(trunk, limits, group_)}, scratch_));
  loader.BeginPart("embedding");
  ASSIGN_OR_RETURN(
      table_, loader.LoadTable("gpt_neox.embed_in.weight", trunk.vocab_size,
                               trunk.hidden_dim));
  loader.BeginPart("layers");
  ASSIGN_OR_RETURN(trunk_,
                   CachedTrunk::Load(trunk, "", limits, /*tokens_per_unit=*/1,
                                     group_, {ops_, *activations_, observer_},
                                     loader, metadata_, scratch_));
  loader.BeginPart("head");
  ASSIGN_OR_RETURN(head_,
                   loader.LoadMatrix("embed_out.weight", trunk.vocab_size,
                                     trunk.hidden_dim));
  ASSIGN_OR_RETURN(tokens_, StepTokens::Create(limits, /*tokens_per_step=*/1,
                                               trunk.vocab_size, group_,
                                               observer_, metadata_, scratch_));
  RETURN_IF_ERROR(metadata_.Allocate(scratch_));
  parts_ = PartSizesOf(loader);
  return ops_.Reserve({.max_rows = std::max(limits.max_units_per_step,
                                            limits.max_rows_per_step),
                       .max_sample_rows = limits.max_rows_per_step,
                       .vocab_size = trunk.vocab_size});
}

absl::StatusOr<StepOutput> GptNeoXModel::Step(const StepInput& wanted) {
  RETURN_IF_ERROR(ValidateStep(wanted, rules_));
  if (wanted.chunks.empty()) return StepOutput{};
  BeginPart(StepPart::kInput);
  const StepInput input = replay_.Begin(wanted);
  SetInput(input);
  replay_.Run(tokens_->wants_alternatives() ? 1 : 0, [&] { Enqueue(input); });
  if (!input.rows.empty()) tokens_->ReadBack();
  RETURN_IF_ERROR(replay_.Synchronize());
  return tokens_->output(wanted.rows.size());
}

void GptNeoXModel::Enqueue(const StepInput& input) {
  const TensorView residual = trunk_->residual();  // [num_units, hidden_dim]
  BeginPart(StepPart::kEmbedder);
  table_.Lookup(ops_, metadata_.DeviceInt32(ids_, {residual.dim(0)}), residual);
  BeginPart(StepPart::kCachedTrunk);
  const TensorView outputs = trunk_->Run();  // [num_own_rows, hidden_dim]
  if (input.rows.empty()) return;
  BeginPart(StepPart::kTokenDecoder);
  if (tokens_->num_rows() > 0) tokens_->Sample(outputs, *head_, /*offset=*/0);
  BeginPart(StepPart::kOutput);
  tokens_->Exchange();
}

void GptNeoXModel::SetInput(const StepInput& input) {
  auto id = metadata_.Int32(ids_).begin();
  for (const SequenceChunk& chunk : input.chunks) {
    id = std::copy(chunk.tokens.begin(), chunk.tokens.end(), id);
  }
  trunk_->batch().Fill(input.chunks);
  tokens_->Fill(input.rows);
  metadata_.Upload(ops_);
}

size_t GptNeoXModel::kv_bytes_per_page() const {
  return CachedTrunk::KvBytesPerPage(config_.token_decoder, group_, ops_);
}

}  // namespace blockserve
