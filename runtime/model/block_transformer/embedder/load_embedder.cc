#include "runtime/model/block_transformer/embedder/load_embedder.h"

#include "runtime/model/block_transformer/embedder/lookup_embedder.h"
#include "runtime/model/block_transformer/embedder/roberta_embedder.h"

namespace blockserve {
namespace {

struct EmbedderEntry {
  EmbedderKind kind;
  absl::StatusOr<std::unique_ptr<Embedder>> (*load)(const EmbedderContext&,
                                                    WeightLoader&);
};

constexpr EmbedderEntry kEmbedders[] = {
    {EmbedderKind::kLookup, &LookupEmbedder::Load},
    {EmbedderKind::kRoberta, &RobertaEmbedder::Load},
    {EmbedderKind::kRobertaCls, &RobertaEmbedder::Load},
};

}  // namespace

ActivationLimits EmbedderActivationLimits(const ModelConfig& config,
                                          int max_blocks) {
  const EmbedderConfig& embedder = config.embedder;
  if (embedder.kind == EmbedderKind::kLookup) return {};
  const TrunkConfig& trunk = embedder.trunk;
  const int num_cls =
      embedder.kind == EmbedderKind::kRobertaCls ? embedder.num_cls_tokens : 0;
  return {.rows = int64_t{max_blocks} * (num_cls + config.block_length),
          .hidden_dim = trunk.hidden_dim,
          .attention_dim = int64_t{trunk.num_heads} * trunk.head_dim,
          .ffn_dim = trunk.ffn_dim};
}

absl::StatusOr<std::unique_ptr<Embedder>> LoadEmbedder(
    const EmbedderContext& context, WeightLoader& loader) {
  for (const EmbedderEntry& entry : kEmbedders) {
    if (entry.kind == context.config.embedder.kind) {
      return entry.load(context, loader);
    }
  }
  return absl::UnimplementedError("embedder.cls is not served");
}

}  // namespace blockserve
