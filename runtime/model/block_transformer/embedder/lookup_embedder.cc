#include "runtime/model/block_transformer/embedder/lookup_embedder.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "runtime/base/status_macros.h"
#include "runtime/model/block_transformer/embedder/projection_layer.h"

namespace blockserve {
namespace {

absl::Status CheckWidth(const ModelConfig& config) {
  const EmbedderConfig& embedder = config.embedder;
  const int block_dim = config.block_decoder.hidden_dim;
  int expected = embedder.hidden_dim;  // a projection takes any width
  if (embedder.projection == EmbedderProjection::kConcat) {
    expected = block_dim / config.block_length;
  } else if (embedder.projection == EmbedderProjection::kSum) {
    expected = block_dim;
  }
  if (embedder.hidden_dim == expected &&
      (embedder.projection != EmbedderProjection::kConcat ||
       expected * config.block_length == block_dim)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("embedder.config.hidden_size: expected ", expected,
                   " for a block decoder of ", block_dim, " and block_length ",
                   config.block_length, ", got ", embedder.hidden_dim));
}

}  // namespace

LookupEmbedder::LookupEmbedder(const EmbedderContext& context)
    : ops_(context.trunk.ops),
      metadata_(context.metadata),
      kind_(context.config.embedder.projection),
      block_length_(context.config.block_length),
      ids_(context.metadata.AddInt32(int64_t{context.max_blocks} *
                                     context.config.block_length)) {}

absl::StatusOr<std::unique_ptr<Embedder>> LookupEmbedder::Load(
    const EmbedderContext& context, WeightLoader& loader) {
  const ModelConfig& config = context.config;
  RETURN_IF_ERROR(CheckWidth(config));
  std::unique_ptr<LookupEmbedder> embedder(new LookupEmbedder(context));
  const int64_t vector_dim = config.embedder.hidden_dim;
  ASSIGN_OR_RETURN(embedder->table_,
                   loader.LoadTable("embedder.embeddings.weight",
                                    config.embedder.vocab_size, vector_dim));
  if (embedder->kind_ == EmbedderProjection::kProjectionLayer) {
    ASSIGN_OR_RETURN(
        embedder->projection_,
        LoadProjectionLayer(config.block_decoder.hidden_dim, vector_dim,
                            config.block_length, loader));
    const int64_t count = embedder->ops_.PaddedRows(context.max_blocks) *
                          config.block_length * vector_dim;
    ASSIGN_OR_RETURN(embedder->vectors_,
                     context.scratch.Allocate(count * sizeof(float)));
    ASSIGN_OR_RETURN(
        embedder->rounded_vectors_,
        context.scratch.Allocate(count * SizeOf(embedder->ops_.dtype())));
  }
  return embedder;
}

void LookupEmbedder::SetBlocks(int block_begin,
                               absl::Span<const int32_t> tokens,
                               absl::Span<const uint8_t> /*mask*/) {
  std::copy(
      tokens.begin(), tokens.end(),
      metadata_.Int32(ids_).begin() + int64_t{block_begin} * block_length_);
}

void LookupEmbedder::Embed(int num_blocks, const TensorView& output) {
  const int64_t num_tokens = int64_t{num_blocks} * block_length_;
  const TensorView ids = metadata_.DeviceInt32(ids_, {num_tokens});
  switch (kind_) {
    case EmbedderProjection::kConcat:
      // The vectors of a block lie side by side already.
      table_.Lookup(ops_, ids, output.Reshape({num_tokens, table_.dim}));
      break;
    case EmbedderProjection::kSum:
      EmbedSum(ids, output);
      break;
    case EmbedderProjection::kProjectionLayer:
      EmbedProjected(ids, num_blocks, output);
      break;
  }
}

void LookupEmbedder::EmbedSum(const TensorView& ids, const TensorView& output) {
  table_.Lookup(ops_, ids, output, block_length_);
  for (int offset = 1; offset < block_length_; ++offset) {
    table_.AddTo(ops_, ids.Rows(offset, ids.dim(0)), output, block_length_);
  }
}

void LookupEmbedder::EmbedProjected(const TensorView& ids, int num_blocks,
                                    const TensorView& output) {
  const TensorView vectors =
      vectors_.View(DType::kFloat32, {ids.dim(0), table_.dim});
  table_.Lookup(ops_, ids, vectors);
  const TensorView rounded = rounded_vectors_.View(
      ops_.dtype(), {num_blocks, block_length_ * table_.dim});
  ops_.Cast(vectors, rounded);
  projection_.Apply(ops_, rounded, output);
}

}  // namespace blockserve
