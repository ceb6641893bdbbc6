#include "runtime/config/trunk_config_reader.h"

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/status_macros.h"
#include "runtime/config/base_models.h"

namespace blockserve {
namespace {

constexpr int kMaxFfnDim = 1 << 20;
constexpr int kMaxHeads = 4096;
constexpr int kMaxPositions = 1 << 24;
constexpr int kMaxTokenId = kMaxVocabSize - 1;
constexpr double kMaxEps = 0.1;

// The head size that the authors' training code picks for a width.
int AutomaticHeadDim(int hidden_dim) {
  if (hidden_dim <= 256) return 32;
  return hidden_dim <= 1536 ? 64 : 128;
}

absl::Status ReadSpecialTokens(const ConfigSection& config,
                               TrunkReading& reading) {
  ASSIGN_OR_RETURN(reading.bos_token_id,
                   config.OptionalInt("bos_token_id", 0, kMaxTokenId));
  ASSIGN_OR_RETURN(reading.eos_token_id,
                   config.OptionalInt("eos_token_id", 0, kMaxTokenId));
  ASSIGN_OR_RETURN(reading.pad_token_id,
                   config.OptionalInt("pad_token_id", 0, kMaxTokenId));
  return absl::OkStatus();
}

absl::Status ExpectText(const ConfigSection& config, std::string_view key,
                        std::string_view value) {
  return config.OneOf(key, {value}).status();
}

absl::Status ExpectBool(const ConfigSection& config, std::string_view key,
                        bool value) {
  ASSIGN_OR_RETURN(const bool given, config.Bool(key));
  if (given == value) return absl::OkStatus();
  return config.Unimplemented(
      key, absl::StrCat("only ", value ? "true" : "false", " is supported"));
}

absl::Status ExpectNull(const ConfigSection& config, std::string_view key) {
  if (!config.Has(key)) return absl::OkStatus();
  return config.Unimplemented(key, "only null is supported");
}

// Hidden size, heads and head size of a trunk whose heads share the width.
absl::Status ReadWidth(const ConfigSection& config, std::string_view width_key,
                       std::string_view heads_key, bool fill_in,
                       TrunkConfig& trunk) {
  ASSIGN_OR_RETURN(trunk.hidden_dim, config.Int(width_key, 1, kMaxHiddenDim));
  if (fill_in && !config.IsGiven(heads_key)) {
    trunk.head_dim = AutomaticHeadDim(trunk.hidden_dim);
    trunk.num_heads = trunk.hidden_dim / trunk.head_dim;
  } else {
    ASSIGN_OR_RETURN(trunk.num_heads, config.Int(heads_key, 1, kMaxHeads));
    trunk.head_dim = trunk.hidden_dim / trunk.num_heads;
  }
  if (trunk.head_dim * trunk.num_heads != trunk.hidden_dim) {
    return config.Error(
        width_key,
        absl::StrCat("expected a multiple of ",
                     fill_in && !config.IsGiven(heads_key)
                         ? absl::StrCat("the head size ", trunk.head_dim)
                         : absl::StrCat(std::string(heads_key), " (",
                                        trunk.num_heads, ")"),
                     ", got ", trunk.hidden_dim));
  }
  return absl::OkStatus();
}

absl::StatusOr<TrunkReading> ReadRoberta(const ConfigSection& config,
                                         bool fill_in) {
  TrunkReading reading;
  TrunkConfig& trunk = reading.trunk;
  trunk.kind = TrunkKind::kRoberta;
  ASSIGN_OR_RETURN(trunk.vocab_size,
                   config.Int("vocab_size", 2, kMaxVocabSize));
  RETURN_IF_ERROR(
      ReadWidth(config, "hidden_size", "num_attention_heads", fill_in, trunk));
  trunk.ffn_dim = 4 * trunk.hidden_dim;
  if (!fill_in || config.IsGiven("intermediate_size")) {
    ASSIGN_OR_RETURN(trunk.ffn_dim,
                     config.Int("intermediate_size", 1, kMaxFfnDim));
  }
  ASSIGN_OR_RETURN(trunk.num_layers,
                   config.Int("num_hidden_layers", 1, kMaxLayers));
  ASSIGN_OR_RETURN(const double eps,
                   config.Number("layer_norm_eps", 0, kMaxEps));
  trunk.norm_eps = static_cast<float>(eps);
  ASSIGN_OR_RETURN(trunk.max_positions,
                   config.Int("max_position_embeddings", 1, kMaxPositions));
  RETURN_IF_ERROR(config.Int("type_vocab_size", 1, 1).status());
  RETURN_IF_ERROR(ExpectText(config, "hidden_act", "gelu"));
  RETURN_IF_ERROR(ExpectText(config, "position_embedding_type", "absolute"));
  RETURN_IF_ERROR(ReadSpecialTokens(config, reading));
  return reading;
}

absl::StatusOr<TrunkReading> ReadGptNeo(const ConfigSection& config) {
  TrunkReading reading;
  TrunkConfig& trunk = reading.trunk;
  trunk.kind = TrunkKind::kGptNeo;
  ASSIGN_OR_RETURN(trunk.vocab_size,
                   config.Int("vocab_size", 2, kMaxVocabSize));
  RETURN_IF_ERROR(
      ReadWidth(config, "hidden_size", "num_heads", /*fill_in=*/false, trunk));
  ASSIGN_OR_RETURN(
      trunk.ffn_dim,
      config.IntOr("intermediate_size", 4 * trunk.hidden_dim, 1, kMaxFfnDim));
  ASSIGN_OR_RETURN(trunk.num_layers, config.Int("num_layers", 1, kMaxLayers));
  ASSIGN_OR_RETURN(const double eps,
                   config.Number("layer_norm_epsilon", 0, kMaxEps));
  trunk.norm_eps = static_cast<float>(eps);
  ASSIGN_OR_RETURN(trunk.max_positions,
                   config.Int("max_position_embeddings", 1, kMaxPositions));
  ASSIGN_OR_RETURN(trunk.window_size,
                   config.Int("window_size", 1, kMaxPositions));
  RETURN_IF_ERROR(ExpectNull(config, "attention_types"));
  RETURN_IF_ERROR(ExpectText(config, "activation_function", "gelu_new"));
  RETURN_IF_ERROR(ExpectBool(config, "tie_word_embeddings", true));
  RETURN_IF_ERROR(ReadSpecialTokens(config, reading));
  return reading;
}

absl::StatusOr<TrunkReading> ReadT5(const ConfigSection& config) {
  TrunkReading reading;
  TrunkConfig& trunk = reading.trunk;
  trunk.kind = TrunkKind::kT5;
  ASSIGN_OR_RETURN(trunk.vocab_size,
                   config.Int("vocab_size", 2, kMaxVocabSize));
  RETURN_IF_ERROR(
      ReadWidth(config, "d_model", "num_heads", /*fill_in=*/false, trunk));
  ASSIGN_OR_RETURN(const int d_kv, config.Int("d_kv", 1, kMaxHiddenDim));
  if (d_kv != trunk.head_dim) {
    return config.Error("d_kv", absl::StrCat("expected d_model / num_heads = ",
                                             trunk.head_dim, ", got ", d_kv));
  }
  ASSIGN_OR_RETURN(trunk.ffn_dim, config.Int("d_ff", 1, kMaxFfnDim));
  // The decoder's; num_layers is the encoder's, which is not used.
  ASSIGN_OR_RETURN(trunk.num_layers,
                   config.Int("num_decoder_layers", 1, kMaxLayers));
  ASSIGN_OR_RETURN(const double eps,
                   config.Number("layer_norm_epsilon", 0, kMaxEps));
  trunk.norm_eps = static_cast<float>(eps);
  ASSIGN_OR_RETURN(trunk.relative_attention_num_buckets,
                   config.Int("relative_attention_num_buckets", 2, 4096));
  ASSIGN_OR_RETURN(
      trunk.relative_attention_max_distance,
      config.Int("relative_attention_max_distance",
                 trunk.relative_attention_num_buckets / 2 + 1, kMaxPositions));
  RETURN_IF_ERROR(ExpectText(config, "feed_forward_proj", "relu"));
  RETURN_IF_ERROR(ExpectText(config, "dense_act_fn", "relu"));
  RETURN_IF_ERROR(ExpectBool(config, "is_gated_act", false));
  RETURN_IF_ERROR(ExpectBool(config, "tie_word_embeddings", true));
  RETURN_IF_ERROR(ReadSpecialTokens(config, reading));
  return reading;
}

}  // namespace

absl::StatusOr<TrunkReading> ReadGptNeoX(const ConfigSection& config,
                                         bool fill_in) {
  TrunkReading reading;
  TrunkConfig& trunk = reading.trunk;
  trunk.kind = TrunkKind::kGptNeoX;
  ASSIGN_OR_RETURN(trunk.vocab_size,
                   config.Int("vocab_size", 2, kMaxVocabSize));
  RETURN_IF_ERROR(
      ReadWidth(config, "hidden_size", "num_attention_heads", fill_in, trunk));
  trunk.ffn_dim = 4 * trunk.hidden_dim;
  if (!fill_in || config.IsGiven("intermediate_size")) {
    ASSIGN_OR_RETURN(trunk.ffn_dim,
                     config.Int("intermediate_size", 1, kMaxFfnDim));
  }
  ASSIGN_OR_RETURN(trunk.num_layers,
                   config.Int("num_hidden_layers", 1, kMaxLayers));
  ASSIGN_OR_RETURN(const double eps,
                   config.Number("layer_norm_eps", 0, kMaxEps));
  trunk.norm_eps = static_cast<float>(eps);
  ASSIGN_OR_RETURN(trunk.max_positions,
                   config.Int("max_position_embeddings", 1, kMaxPositions));
  ASSIGN_OR_RETURN(const double rotary_pct, config.Number("rotary_pct", 0, 1));
  trunk.rotary_pct = static_cast<float>(rotary_pct);
  if (trunk.rotary_dim() % 2 != 0) {
    return config.Error(
        "rotary_pct",
        absl::StrCat("expected an even number of rotated elements, got ",
                     trunk.rotary_dim(), " of head size ", trunk.head_dim));
  }
  ASSIGN_OR_RETURN(const double rotary_base,
                   config.Number("rotary_emb_base", 1, 1e9));
  trunk.rotary_base = static_cast<float>(rotary_base);
  ASSIGN_OR_RETURN(trunk.parallel_residual,
                   config.Bool("use_parallel_residual"));
  RETURN_IF_ERROR(ExpectText(config, "hidden_act", "gelu"));
  RETURN_IF_ERROR(ExpectBool(config, "attention_bias", true));
  RETURN_IF_ERROR(ExpectBool(config, "tie_word_embeddings", false));
  RETURN_IF_ERROR(ExpectNull(config, "rope_scaling"));
  RETURN_IF_ERROR(ReadSpecialTokens(config, reading));
  return reading;
}

absl::StatusOr<TrunkReading> ReadTrunk(const ConfigSection& section,
                                       TrunkKind kind,
                                       std::string_view config_key,
                                       bool fill_in) {
  ASSIGN_OR_RETURN(const std::string base_name,
                   section.Text("model_name_or_path"));
  const BaseModel* base = FindBaseModel(base_name);
  if (base == nullptr || base->kind != kind) {
    return section.Unimplemented(
        "model_name_or_path",
        absl::StrCat("expected ", BaseModelNames(kind), ", got \"",
                     absl::CEscape(base_name), "\""));
  }
  ASSIGN_OR_RETURN(const ConfigSection config,
                   section.Section(config_key, base->values.get()));
  RETURN_IF_ERROR(config.CheckKeysAreIn(base->name));
  fill_in = fill_in && section.Has(config_key);
  switch (kind) {
    case TrunkKind::kGptNeoX:
      return ReadGptNeoX(config, fill_in);
    case TrunkKind::kRoberta:
      return ReadRoberta(config, fill_in);
    case TrunkKind::kGptNeo:
      return ReadGptNeo(config);
    case TrunkKind::kT5:
      return ReadT5(config);
  }
  return absl::InternalError("unknown kind of trunk");
}

}  // namespace blockserve
