#include "runtime/config/model_config_reader.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "runtime/base/json.h"
#include "runtime/base/read_file.h"
#include "runtime/base/status_macros.h"
#include "runtime/config/base_models.h"
#include "runtime/config/block_transformer_reader.h"
#include "runtime/config/config_node.h"
#include "runtime/config/trunk_config_reader.h"
#include "runtime/config/yaml_parser.h"

namespace blockserve {
namespace {

constexpr size_t kMaxFileBytes = 256 << 10;
constexpr int kMaxJsonDepth = 16;
constexpr size_t kMaxNameLength = 128;
constexpr int kMaxTokens = 1 << 30;

// Names appear in logs, metrics and answers.
bool IsUsableName(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameLength) return false;
  for (const char c : name) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c)) && c != ' ') {
      return false;
    }
  }
  return true;
}

absl::Status ReadName(const ConfigSection& root, ModelConfig& config) {
  if (!root.Has("name")) return absl::OkStatus();
  ASSIGN_OR_RETURN(config.name, root.Text("name"));
  if (IsUsableName(config.name)) return absl::OkStatus();
  return root.Error("name", absl::StrCat("expected 1 to ", kMaxNameLength,
                                         " printable ASCII characters"));
}

// A vanilla model is held as the token decoder.
absl::Status FillVanilla(const ConfigSection& root, std::string_view eos_key,
                         const TrunkReading& reading, ModelConfig& config) {
  config.family = ModelFamily::kVanilla;
  config.block_length = 1;
  config.token_decoder = reading.trunk;
  config.vocab_size = reading.trunk.vocab_size;
  if (!reading.eos_token_id.has_value()) {
    return root.Error(eos_key, "expected an id, got null");
  }
  SpecialTokens& special = config.special;
  special.eos = *reading.eos_token_id;
  special.bos = reading.bos_token_id.value_or(special.eos);
  special.fill = reading.pad_token_id.value_or(special.eos);
  special.finished_row_pad = special.fill;
  special.prompt_pad = reading.pad_token_id.value_or(0);
  if (std::max({special.eos, special.bos, special.fill}) >= config.vocab_size) {
    return root.Error(eos_key,
                      absl::StrCat("expected special ids below vocab_size ",
                                   config.vocab_size));
  }
  return absl::OkStatus();
}

absl::Status ReadVanilla(const ConfigSection& root, ModelConfig& config) {
  for (const char* key : {"embedder", "block_decoder", "token_decoder"}) {
    if (root.Has(key)) {
      return root.Error("block_length",
                        absl::StrCat("expected an integer, since the file has ",
                                     key, ", got nothing"));
    }
  }
  RETURN_IF_ERROR(root.OneOf("model", {"gpt-neo-x"}).status());
  ASSIGN_OR_RETURN(const TrunkReading reading,
                   ReadTrunk(root, TrunkKind::kGptNeoX, "model_config",
                             /*fill_in=*/false));
  return FillVanilla(root, "model_config.eos_token_id", reading, config);
}

std::shared_ptr<const ConfigNode> FromJson(const nlohmann::json& value) {
  auto node = std::make_shared<ConfigNode>();
  if (value.is_object()) {
    node->kind = ConfigNode::Kind::kMap;
    for (const auto& [key, child] : value.items()) {
      node->entries.emplace_back(key, FromJson(child));
    }
  } else if (value.is_array()) {
    node->kind = ConfigNode::Kind::kSequence;
    for (const auto& child : value) node->elements.push_back(FromJson(child));
  } else if (!value.is_null()) {
    node->kind = ConfigNode::Kind::kScalar;
    node->quoted = value.is_string();
    node->text = value.is_string() ? value.get<std::string>() : value.dump();
  }
  return node;
}

}  // namespace

absl::StatusOr<ModelConfig> ParseYamlModelConfig(std::string_view text,
                                                 std::string_view source) {
  ASSIGN_OR_RETURN(const std::shared_ptr<const ConfigNode> node,
                   ParseYaml(text, source));
  const ConfigSection root(node.get(), /*defaults=*/nullptr, source, "");
  ModelConfig config;
  RETURN_IF_ERROR(ReadName(root, config));
  if (root.Has("precision")) {
    RETURN_IF_ERROR(root.OneOf("precision", {"fp32", "bf16", "fp16"}).status());
    ASSIGN_OR_RETURN(config.precision, root.Text("precision"));
  }
  ASSIGN_OR_RETURN(config.max_length,
                   root.IntOr("max_length", 0, 1, kMaxTokens));
  RETURN_IF_ERROR(root.IsGiven("block_length")
                      ? ReadBlockTransformer(root, config)
                      : ReadVanilla(root, config));
  return config;
}

absl::StatusOr<ModelConfig> ParseHfModelConfig(std::string_view text,
                                               std::string_view source) {
  ASSIGN_OR_RETURN(const nlohmann::json value,
                   ParseJson(text, source, kMaxJsonDepth));
  if (!value.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(std::string(source), ": expected a JSON object"));
  }
  const std::shared_ptr<const ConfigNode> node = FromJson(value);
  const ConfigSection root(node.get(), &HuggingFaceGptNeoXDefaults(), source,
                           "");
  if (!root.IsGiven("model_type")) {
    return root.Error("model_type", "expected gpt_neox, got nothing");
  }
  RETURN_IF_ERROR(root.OneOf("model_type", {"gpt_neox"}).status());
  // The library's own default is not what GPT-NeoX tokenizers use.
  if (!root.IsGiven("eos_token_id")) {
    return root.Error("eos_token_id", "expected an id, got nothing");
  }
  // Other keys may describe how a model was trained; these change what it
  // computes.
  for (const char* key : {"rope_parameters", "quantization_config"}) {
    if (root.Has(key)) return root.Unimplemented(key, "not supported");
  }
  ASSIGN_OR_RETURN(const TrunkReading reading,
                   ReadGptNeoX(root, /*fill_in=*/false));
  ModelConfig config;
  RETURN_IF_ERROR(FillVanilla(root, "eos_token_id", reading, config));
  config.max_length = reading.trunk.max_positions;
  ASSIGN_OR_RETURN(const std::string dtype, root.TextOr("torch_dtype", ""));
  if (dtype == "float32") config.precision = "fp32";
  if (dtype == "bfloat16") config.precision = "bf16";
  if (dtype == "float16") config.precision = "fp16";
  return config;
}

absl::StatusOr<ModelConfig> ReadModelConfig(const std::string& directory) {
  const std::string yaml_path = absl::StrCat(directory, "/config.yaml");
  const std::string json_path = absl::StrCat(directory, "/config.json");
  absl::StatusOr<ModelConfig> config;
  absl::StatusOr<std::string> text = ReadFile(yaml_path, kMaxFileBytes);
  if (text.ok()) {
    config = ParseYamlModelConfig(*text, yaml_path);
  } else if (absl::IsNotFound(text.status())) {
    text = ReadFile(json_path, kMaxFileBytes);
    if (absl::IsNotFound(text.status())) {
      return absl::NotFoundError(
          absl::StrCat(directory, ": no config.yaml or config.json"));
    }
    if (text.ok()) config = ParseHfModelConfig(*text, json_path);
  }
  RETURN_IF_ERROR(text.status());
  RETURN_IF_ERROR(config.status());
  if (config->name.empty()) {
    // "models/demo/" and "models/demo/." are called demo too.
    const std::filesystem::path path =
        std::filesystem::path(directory).lexically_normal();
    config->name = path.has_filename() ? path.filename().string()
                                       : path.parent_path().filename().string();
    if (!IsUsableName(config->name)) config->name = "model";
  }
  return config;
}

}  // namespace blockserve
