#include "runtime/config/block_transformer_reader.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/status_macros.h"
#include "runtime/config/base_models.h"
#include "runtime/config/trunk_config_reader.h"

namespace blockserve {
namespace {

// The id that fills a row after its EOS inside a block: the tokenizer's
// padding, with the only tokenizer that configurations name.
constexpr int kPythiaPadTokenId = 1;

absl::Status CheckTokenizers(const ConfigSection& root) {
  ASSIGN_OR_RETURN(const ConfigSection tokenizer, root.Section("tokenizer"));
  for (std::string_view key : {"embedder", "token_decoder"}) {
    if (!tokenizer.Has(key)) continue;
    // Others would need their token ids mapped.
    RETURN_IF_ERROR(tokenizer.OneOf(key, {"pythia"}).status());
  }
  return absl::OkStatus();
}

absl::Status ReadEmbedderTrunk(const ConfigSection& section,
                               ModelConfig& config) {
  EmbedderConfig& embedder = config.embedder;
  if (embedder.kind == EmbedderKind::kLookup) {
    ASSIGN_OR_RETURN(const ConfigSection lookup,
                     section.Section("config", &LookupEmbedderKeys()));
    RETURN_IF_ERROR(lookup.CheckKeysAreIn("a lookup embedder"));
    ASSIGN_OR_RETURN(embedder.vocab_size,
                     lookup.Int("vocab_size", 2, kMaxVocabSize));
    ASSIGN_OR_RETURN(embedder.hidden_dim,
                     lookup.Int("hidden_size", 1, kMaxHiddenDim));
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const TrunkReading reading,
                   ReadTrunk(section, TrunkKind::kRoberta, "config",
                             /*fill_in=*/true));
  embedder.trunk = reading.trunk;
  embedder.vocab_size = reading.trunk.vocab_size;
  embedder.hidden_dim = reading.trunk.hidden_dim;
  embedder.bos_token_id = reading.bos_token_id.value_or(0);
  embedder.pad_token_id = reading.pad_token_id;
  if (!embedder.pad_token_id.has_value()) {
    return section.Error("config.pad_token_id", "expected an id, got null");
  }
  if (embedder.kind == EmbedderKind::kRobertaCls) {
    ASSIGN_OR_RETURN(embedder.num_cls_tokens,
                     section.IntOr("n_cls_tokens", 1, 1, kMaxClsTokens));
  }
  // Positions count from pad_token_id + 1.
  const int num_tokens =
      config.block_length + (embedder.kind == EmbedderKind::kRobertaCls
                                 ? embedder.num_cls_tokens
                                 : 0);
  const int num_positions = *embedder.pad_token_id + 1 + num_tokens;
  if (num_positions > embedder.trunk.max_positions) {
    return section.Error(
        "config.max_position_embeddings",
        absl::StrCat("expected at least ", num_positions, " for a block of ",
                     num_tokens, " tokens, got ",
                     embedder.trunk.max_positions));
  }
  return absl::OkStatus();
}

absl::Status ReadProjection(const ConfigSection& section, ModelConfig& config) {
  EmbedderConfig& embedder = config.embedder;
  embedder.projection = embedder.kind == EmbedderKind::kLookup
                            ? EmbedderProjection::kConcat
                            : EmbedderProjection::kProjectionLayer;
  if (section.Has("projection_method")) {
    ASSIGN_OR_RETURN(const int method,
                     section.OneOf("projection_method",
                                   {"concat", "projection_layer", "sum"}));
    embedder.projection = std::array{EmbedderProjection::kConcat,
                                     EmbedderProjection::kProjectionLayer,
                                     EmbedderProjection::kSum}[method];
  }
  const int64_t block_dim = config.block_decoder.hidden_dim;
  if (embedder.projection == EmbedderProjection::kConcat) {
    const int64_t num_vectors = embedder.kind == EmbedderKind::kRobertaCls
                                    ? embedder.num_cls_tokens
                                    : config.block_length;
    if (num_vectors * embedder.hidden_dim != block_dim) {
      return section.Error(
          "config.hidden_size",
          absl::StrCat("concat expects ", num_vectors,
                       " embeddings of it to make block_decoder's ", block_dim,
                       ", got ", embedder.hidden_dim));
    }
  }
  if (embedder.projection == EmbedderProjection::kSum) {
    if (embedder.kind != EmbedderKind::kLookup) {
      return section.Unimplemented("projection_method",
                                   "sum needs a lookup embedder");
    }
    if (embedder.hidden_dim != block_dim) {
      return section.Error(
          "config.hidden_size",
          absl::StrCat("sum expects block_decoder's ", block_dim, ", got ",
                       embedder.hidden_dim));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadEmbedder(const ConfigSection& root, ModelConfig& config) {
  ASSIGN_OR_RETURN(const ConfigSection section, root.Section("embedder"));
  ASSIGN_OR_RETURN(const int kind,
                   section.OneOf("cls", {"lookup", "roberta", "roberta_cls"}));
  config.embedder.kind =
      std::array{EmbedderKind::kLookup, EmbedderKind::kRoberta,
                 EmbedderKind::kRobertaCls}[kind];
  ASSIGN_OR_RETURN(const int num_embedding_tokens,
                   section.IntOr("n_embedding_tokens", 1, 1, 1 << 20));
  if (num_embedding_tokens != 1) {
    return section.Unimplemented(
        "n_embedding_tokens",
        absl::StrCat("expected 1, got ", num_embedding_tokens));
  }
  RETURN_IF_ERROR(ReadEmbedderTrunk(section, config));
  return ReadProjection(section, config);
}

absl::Status ReadBlockDecoder(const ConfigSection& root, ModelConfig& config) {
  ASSIGN_OR_RETURN(const ConfigSection section, root.Section("block_decoder"));
  ASSIGN_OR_RETURN(const int kind,
                   section.OneOf("cls", {"gpt-neo-x", "gpt-neo"}));
  ASSIGN_OR_RETURN(
      const TrunkReading reading,
      ReadTrunk(section, kind == 0 ? TrunkKind::kGptNeoX : TrunkKind::kGptNeo,
                "config", /*fill_in=*/true));
  config.block_decoder = reading.trunk;
  return absl::OkStatus();
}

absl::Status ReadExpansion(const ConfigSection& section, ModelConfig& config) {
  ASSIGN_OR_RETURN(const int strategy,
                   section.OneOf("decoding_strategy",
                                 {"prefix", "summation", "cross_attention"}));
  config.strategy =
      std::array{DecodingStrategy::kPrefix, DecodingStrategy::kSummation,
                 DecodingStrategy::kCrossAttention}[strategy];
  const bool is_t5 = config.token_decoder.kind == TrunkKind::kT5;
  if (is_t5 != (config.strategy == DecodingStrategy::kCrossAttention)) {
    return section.Unimplemented("decoding_strategy",
                                 "cross_attention and cls t5 need each other");
  }
  if (config.strategy == DecodingStrategy::kPrefix) {
    ASSIGN_OR_RETURN(config.expansion_ratio,
                     section.Int("expansion_ratio", 1, kMaxExpansionRatio));
  } else {
    ASSIGN_OR_RETURN(config.expansion_ratio,
                     section.IntOr("expansion_ratio", config.block_length, 1,
                                   kMaxExpansionRatio));
  }
  if (config.strategy == DecodingStrategy::kSummation &&
      config.expansion_ratio != config.block_length) {
    return section.Error(
        "expansion_ratio",
        absl::StrCat("summation expects block_length (", config.block_length,
                     "), got ", config.expansion_ratio));
  }
  config.has_expansion_layer = section.Has("expansion_method");
  if (config.has_expansion_layer) {
    RETURN_IF_ERROR(
        section.OneOf("expansion_method", {"expansion_layer"}).status());
  } else if (config.block_decoder.hidden_dim !=
             config.token_decoder.hidden_dim) {
    return section.Error(
        "expansion_method",
        absl::StrCat("expected expansion_layer, since the hidden sizes of "
                     "block_decoder (",
                     config.block_decoder.hidden_dim, ") and token_decoder (",
                     config.token_decoder.hidden_dim, ") differ"));
  }
  return absl::OkStatus();
}

absl::Status ReadTokenDecoder(const ConfigSection& root, ModelConfig& config) {
  ASSIGN_OR_RETURN(const ConfigSection section, root.Section("token_decoder"));
  ASSIGN_OR_RETURN(const int kind,
                   section.OneOf("cls", {"gpt-neo-x", "gpt-neo", "t5"}));
  ASSIGN_OR_RETURN(const TrunkReading reading,
                   ReadTrunk(section,
                             std::array{TrunkKind::kGptNeoX, TrunkKind::kGptNeo,
                                        TrunkKind::kT5}[kind],
                             "config", /*fill_in=*/true));
  config.token_decoder = reading.trunk;
  config.vocab_size = reading.trunk.vocab_size;
  RETURN_IF_ERROR(ReadExpansion(section, config));
  if (reading.trunk.kind == TrunkKind::kGptNeo) {
    const int num_positions =
        config.block_length + (config.strategy == DecodingStrategy::kPrefix
                                   ? config.expansion_ratio - 1
                                   : 0);
    if (num_positions > reading.trunk.max_positions) {
      return section.Error("config.max_position_embeddings",
                           absl::StrCat("expected at least ", num_positions,
                                        ", got ", reading.trunk.max_positions));
    }
  }
  if (!reading.eos_token_id.has_value()) {
    return section.Error("config.eos_token_id", "expected an id, got null");
  }
  SpecialTokens& special = config.special;
  special.eos = *reading.eos_token_id;
  special.bos = reading.bos_token_id.value_or(special.eos);
  special.fill = reading.pad_token_id.value_or(special.eos);
  special.finished_row_pad = kPythiaPadTokenId;
  for (const auto& [key, id] :
       {std::pair{"config.bos_token_id", special.bos},
        std::pair{"config.eos_token_id", special.eos},
        std::pair{"config.pad_token_id", special.fill}}) {
    if (id >= config.vocab_size) {
      return section.Error(key, absl::StrCat("expected an id below vocab_size ",
                                             config.vocab_size, ", got ", id));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadBlockTransformer(const ConfigSection& root,
                                  ModelConfig& config) {
  config.family = ModelFamily::kBlockTransformer;
  ASSIGN_OR_RETURN(config.block_length,
                   root.Int("block_length", 1, kMaxBlockLength));
  RETURN_IF_ERROR(CheckTokenizers(root));
  RETURN_IF_ERROR(ReadBlockDecoder(root, config));
  RETURN_IF_ERROR(ReadEmbedder(root, config));
  RETURN_IF_ERROR(ReadTokenDecoder(root, config));
  const EmbedderConfig& embedder = config.embedder;
  if (embedder.vocab_size < config.vocab_size) {
    return root.Error(
        "embedder.config.vocab_size",
        absl::StrCat("expected at least token_decoder's ", config.vocab_size,
                     ", got ", embedder.vocab_size));
  }
  config.special.prompt_pad = embedder.pad_token_id.value_or(0);
  if (std::max(config.special.prompt_pad, embedder.bos_token_id) >=
      config.vocab_size) {
    return root.Error("embedder.config",
                      absl::StrCat("expected pad_token_id and bos_token_id "
                                   "below vocab_size ",
                                   config.vocab_size));
  }
  return absl::OkStatus();
}

}  // namespace blockserve
