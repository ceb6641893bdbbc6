#include "runtime/model/block_transformer/embedder/roberta_embedder.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "runtime/base/status_macros.h"
#include "runtime/model/block_transformer/embedder/projection_layer.h"

namespace blockserve {
namespace {

int NumCls(const EmbedderConfig& config) {
  return config.kind == EmbedderKind::kRobertaCls ? config.num_cls_tokens : 0;
}

absl::Status CheckConfig(const ModelConfig& config) {
  const EmbedderConfig& embedder = config.embedder;
  const int num_cls = NumCls(embedder);
  const int num_vectors = num_cls > 0 ? num_cls : config.block_length;
  // Position indices run from pad_token_id + 1 on.
  const int last_position =
      embedder.pad_token_id.value_or(1) + num_cls + config.block_length;
  if (last_position >= embedder.trunk.max_positions) {
    return absl::InvalidArgumentError(absl::StrCat(
        "embedder.config.max_position_embeddings: expected more than ",
        last_position, " for block_length ", config.block_length, ", got ",
        embedder.trunk.max_positions));
  }
  if (embedder.projection == EmbedderProjection::kSum) {
    return absl::UnimplementedError(
        "embedder.projection_method: sum is for the lookup embedder");
  }
  if (embedder.projection == EmbedderProjection::kConcat &&
      embedder.hidden_dim * num_vectors != config.block_decoder.hidden_dim) {
    return absl::InvalidArgumentError(
        absl::StrCat("embedder.config.hidden_size: expected ",
                     config.block_decoder.hidden_dim, " / ", num_vectors,
                     ", got ", embedder.hidden_dim));
  }
  return absl::OkStatus();
}

}  // namespace

RobertaEmbedder::RobertaEmbedder(const EmbedderContext& context)
    : ops_(context.trunk.ops),
      metadata_(context.metadata),
      config_(context.config.embedder),
      block_length_(context.config.block_length),
      num_cls_(NumCls(config_)),
      length_(num_cls_ + block_length_),
      num_vectors_(num_cls_ > 0 ? num_cls_ : block_length_),
      pad_id_(config_.pad_token_id.value_or(1)),
      ids_(metadata_.AddInt32(int64_t{context.max_blocks} * length_)),
      positions_(metadata_.AddInt32(int64_t{context.max_blocks} * length_)),
      key_mask_(metadata_.AddUint8(int64_t{context.max_blocks} * length_)) {}

absl::StatusOr<std::unique_ptr<Embedder>> RobertaEmbedder::Load(
    const EmbedderContext& context, WeightLoader& loader) {
  RETURN_IF_ERROR(CheckConfig(context.config));
  std::unique_ptr<RobertaEmbedder> embedder(new RobertaEmbedder(context));
  Ops& ops = embedder->ops_;
  const int64_t dim = embedder->config_.hidden_dim;
  ASSIGN_OR_RETURN(embedder->trunk_,
                   RobertaTrunk::Load(embedder->config_.trunk, "embedder.",
                                      context.trunk, loader, context.scratch));
  if (embedder->config_.projection == EmbedderProjection::kProjectionLayer) {
    ASSIGN_OR_RETURN(
        embedder->projection_,
        LoadProjectionLayer(context.config.block_decoder.hidden_dim, dim,
                            embedder->num_vectors_, loader));
  }
  const int64_t rows =
      ops.PaddedRows(int64_t{context.max_blocks} * embedder->length_);
  ASSIGN_OR_RETURN(embedder->residual_,
                   context.scratch.Allocate(rows * dim * sizeof(float)));
  const int64_t blocks = ops.PaddedRows(context.max_blocks);
  ASSIGN_OR_RETURN(embedder->selected_,
                   context.scratch.Allocate(blocks * embedder->num_vectors_ *
                                            dim * SizeOf(ops.dtype())));
  return embedder;
}

void RobertaEmbedder::SetBlocks(int block_begin,
                                absl::Span<const int32_t> tokens,
                                absl::Span<const uint8_t> mask) {
  const int num_blocks = static_cast<int>(tokens.size()) / block_length_;
  for (int i = 0; i < num_blocks; ++i) {
    SetBlock(
        block_begin + i, tokens.subspan(i * block_length_, block_length_),
        mask.empty() ? mask : mask.subspan(i * block_length_, block_length_));
  }
}

void RobertaEmbedder::SetBlock(int block, absl::Span<const int32_t> tokens,
                               absl::Span<const uint8_t> mask) {
  const int64_t begin = int64_t{block} * length_;
  const absl::Span<int32_t> ids = metadata_.Int32(ids_).subspan(begin, length_);
  const absl::Span<int32_t> positions =
      metadata_.Int32(positions_).subspan(begin, length_);
  const absl::Span<uint8_t> key_mask =
      metadata_.Uint8(key_mask_).subspan(begin, length_);

  std::fill_n(ids.begin(), num_cls_, config_.bos_token_id);
  std::copy(tokens.begin(), tokens.end(), ids.begin() + num_cls_);
  std::fill(key_mask.begin(), key_mask.end(), uint8_t{1});
  std::copy(mask.begin(), mask.end(), key_mask.begin() + num_cls_);
  // By ids alone, never by the mask: that is how RoBERTa finds its positions.
  int position = pad_id_;
  for (int i = 0; i < length_; ++i) {
    positions[i] = ids[i] == pad_id_ ? pad_id_ : ++position;
  }
}

void RobertaEmbedder::Embed(int num_blocks, const TensorView& output) {
  const int64_t rows = int64_t{num_blocks} * length_;
  const int64_t dim = config_.hidden_dim;
  const TensorView residual = residual_.View(DType::kFloat32, {rows, dim});
  const TensorView vectors = trunk_->Run(
      {.ids = metadata_.DeviceInt32(ids_, {rows}),
       .positions = metadata_.DeviceInt32(positions_, {rows}),
       .key_mask = metadata_.DeviceUint8(key_mask_, {num_blocks, length_})},
      residual);
  // [num_blocks, length * dim]: the vectors that are used come first.
  if (config_.projection == EmbedderProjection::kConcat) {
    ops_.CopyColumns(residual.Reshape({num_blocks, length_ * dim}), 0, output);
    return;
  }
  TensorView selected = vectors.Reshape({num_blocks, length_ * dim});
  if (num_vectors_ < length_) {
    selected = selected_.View(ops_.dtype(), {num_blocks, num_vectors_ * dim});
    ops_.CopyColumns(vectors.Reshape({num_blocks, length_ * dim}), 0, selected);
  }
  projection_.Apply(ops_, selected, output);
}

}  // namespace blockserve
