#include "runtime/model/cached_trunk.h"

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/status_macros.h"
#include "runtime/layers/kv_cache.h"
#include "runtime/layers/rotary_table.h"
#include "runtime/model/trunk/pre_norm_trunk.h"

namespace blockserve {

CachedTrunk::CachedTrunk(const TrunkConfig& config, const std::string& prefix,
                         const ModelLimits& limits, int tokens_per_unit,
                         const RankGroup& group, const TrunkContext& context,
                         StepMetadata& metadata)
    : config_(config),
      prefix_(prefix),
      group_(group),
      context_(context),
      batch_(limits, tokens_per_unit, config.window_size, metadata) {}

absl::StatusOr<std::unique_ptr<CachedTrunk>> CachedTrunk::Load(
    const TrunkConfig& config, const std::string& prefix,
    const ModelLimits& limits, int tokens_per_unit, const RankGroup& group,
    const TrunkContext& context, WeightLoader& loader, StepMetadata& metadata,
    ScratchAllocator& scratch) {
  Ops& ops = context.ops;
  std::unique_ptr<CachedTrunk> trunk(new CachedTrunk(
      config, prefix, limits, tokens_per_unit, group, context, metadata));
  ASSIGN_OR_RETURN(
      trunk->trunk_,
      LoadShardedPreNormTrunk(config, prefix, context, group,
                              limits.max_units_per_step, loader, scratch));
  ASSIGN_OR_RETURN(PagedKvCache cache,
                   PagedKvCache::Create(
                       config.num_layers,
                       static_cast<int>(group.HeadsOf(config.num_heads).size()),
                       config.head_dim, limits.num_pages, ops));
  ASSIGN_OR_RETURN(
      RotaryTable rotary,
      RotaryTable::Create(limits.max_units_per_sequence, config.rotary_dim(),
                          config.rotary_base, scratch));
  trunk->attention_ = std::make_unique<PagedLayerAttention>(
      std::move(cache), std::move(rotary), context.activations, ops);

  const int64_t units =
      ops.PaddedRows(limits.max_units_per_step) * config.hidden_dim;
  const int64_t outputs =
      ops.PaddedRows(limits.max_rows_per_step) * config.hidden_dim;
  const size_t element_size = SizeOf(ops.dtype());
  ASSIGN_OR_RETURN(trunk->residual_, scratch.Allocate(units * sizeof(float)));
  ASSIGN_OR_RETURN(trunk->output_, scratch.Allocate(outputs * element_size));
  if (context.observer.enabled()) {
    ASSIGN_OR_RETURN(trunk->all_outputs_,
                     scratch.Allocate(units * element_size));
    ASSIGN_OR_RETURN(trunk->all_float_outputs_,
                     scratch.Allocate(units * sizeof(float)));
    ASSIGN_OR_RETURN(trunk->float_output_,
                     scratch.Allocate(outputs * sizeof(float)));
  }
  return trunk;
}

ActivationLimits CachedTrunk::ActivationLimitsOf(const TrunkConfig& config,
                                                 const ModelLimits& limits,
                                                 const RankGroup& group) {
  return {
      .rows = limits.max_units_per_step,
      .hidden_dim = config.hidden_dim,
      .attention_dim = group.HeadsOf(config.num_heads).size() * config.head_dim,
      .ffn_dim = group.FfnColumnsOf(config.ffn_dim).size()};
}

size_t CachedTrunk::KvBytesPerPage(const TrunkConfig& config,
                                   const RankGroup& group, const Ops& ops) {
  const auto num_heads =
      static_cast<int>(group.HeadsOf(config.num_heads).size());
  return num_heads == 0
             ? 0
             : config.num_layers * ops.KvPageBytes(num_heads, config.head_dim);
}

int CachedTrunk::MaxPositions(const TrunkConfig& config) {
  return config.kind == TrunkKind::kGptNeo ? config.max_positions
                                           : std::numeric_limits<int>::max();
}

TensorView CachedTrunk::residual() const {
  return residual_.View(DType::kFloat32,
                        {batch_.num_units(), config_.hidden_dim});
}

TensorView CachedTrunk::Run() {
  const PagedPass paged = batch_.pass();
  attention_->BeginPass(paged);
  if (context_.observer.enabled()) return RunObserved(paged);

  const TensorView output = output_.View(
      context_.ops.dtype(),
      {group_.RowsOf(batch_.num_outputs()).size(), config_.hidden_dim});
  trunk_->Run({.residual = residual(),
               .position_ids = paged.positions,
               .attention = attention_.get(),
               .outputs_only = batch_.num_outputs() < batch_.num_units(),
               .deal_outputs = true,
               .output = output,
               .float_output = TensorView()});
  return output;
}

// As Run, but computes the outputs of all units on every rank, and shows those
// wanted.
TensorView CachedTrunk::RunObserved(const PagedPass& paged) {
  Ops& ops = context_.ops;
  const int64_t dim = config_.hidden_dim;
  const int num_units = batch_.num_units();
  const int num_outputs = batch_.num_outputs();
  const TensorView all = all_outputs_.View(ops.dtype(), {num_units, dim});
  const TensorView all_float =
      all_float_outputs_.View(DType::kFloat32, {num_units, dim});
  trunk_->Run({.residual = residual(),
               .position_ids = paged.positions,
               .attention = attention_.get(),
               .output = all,
               .float_output = all_float});
  const TensorView output = output_.View(ops.dtype(), {num_outputs, dim});
  ops.GatherRows(all, paged.output_rows, output);
  const TensorView shown =
      float_output_.View(DType::kFloat32, {num_outputs, dim});
  ops.GatherRows(all_float, paged.output_rows, shown);
  context_.observer.Show(absl::StrCat(prefix_, "output"), shown);
  const ShardRange own = group_.RowsOf(num_outputs);
  return output.Rows(own.begin, own.end);
}

}  // namespace blockserve
