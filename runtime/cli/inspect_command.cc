// blockserve inspect: what a checkpoint directory holds.
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "runtime/base/status_macros.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/report.h"
#include "runtime/config/model_config.h"
#include "runtime/config/model_config_reader.h"
#include "runtime/serving/process.h"
#include "runtime/weights/checkpoint.h"

namespace blockserve {
namespace {

using nlohmann::ordered_json;

struct InspectFlags {
  std::string model;
  bool json = false;
};

const char* NameOfTrunk(TrunkKind kind) {
  switch (kind) {
    case TrunkKind::kGptNeoX:
      return "gpt-neo-x";
    case TrunkKind::kGptNeo:
      return "gpt-neo";
    case TrunkKind::kT5:
      return "t5";
    case TrunkKind::kRoberta:
      return "roberta";
  }
  return "";
}

ordered_json TrunkToJson(const TrunkConfig& trunk) {
  return {{"kind", NameOfTrunk(trunk.kind)}, {"layers", trunk.num_layers},
          {"hidden", trunk.hidden_dim},      {"heads", trunk.num_heads},
          {"head_dim", trunk.head_dim},      {"ffn", trunk.ffn_dim},
          {"vocabulary", trunk.vocab_size}};
}

std::string DescribeEmbedder(const EmbedderConfig& embedder) {
  constexpr const char* kKinds[] = {"lookup", "roberta", "roberta_cls"};
  constexpr const char* kProjections[] = {"concat", "projection_layer", "sum"};
  return absl::StrCat(kKinds[static_cast<int>(embedder.kind)], " + ",
                      kProjections[static_cast<int>(embedder.projection)]);
}

std::string DescribeStrategy(const ModelConfig& config) {
  constexpr const char* kStrategies[] = {"prefix", "summation",
                                         "cross_attention"};
  return absl::StrCat(kStrategies[static_cast<int>(config.strategy)],
                      ", expansion ratio ", config.expansion_ratio);
}

// The part a tensor belongs to. Embeddings are told apart, since they cost
// memory but next to no arithmetic.
std::string PartOf(const std::string& name) {
  if (absl::StrContains(name, "block_decoder.gpt_neox.embed_in") ||
      absl::StrContains(name, "block_decoder.transformer.wte")) {
    return "unused";
  }
  if (absl::StartsWith(name, "embedder.")) return "embedder";
  if (absl::StartsWith(name, "block_decoder.")) return "block_decoder";
  if (absl::StrContains(name, "expansion_layer")) return "expansion";
  if (absl::StrContains(name, "embed_out") ||
      absl::StrContains(name, "lm_head")) {
    return "head";
  }
  if (absl::StrContains(name, "embed_in") || absl::StrContains(name, "wte") ||
      absl::StrContains(name, "wpe") || absl::StrContains(name, "shared") ||
      absl::StrContains(name, "embed_tokens")) {
    return "token_embedding";
  }
  return "token_decoder";
}

absl::StatusOr<ordered_json> InspectModel(const std::string& directory) {
  ASSIGN_OR_RETURN(const ModelConfig config, ReadModelConfig(directory));
  ASSIGN_OR_RETURN(const std::unique_ptr<Checkpoint> checkpoint,
                   Checkpoint::Open(directory));
  const bool vanilla = config.family == ModelFamily::kVanilla;
  ordered_json json;
  json["name"] = config.name;
  json["family"] = vanilla ? "vanilla" : "block_transformer";
  json["block_length"] = config.block_length;
  json["vocabulary"] = config.vocab_size;
  if (!vanilla) {
    json["embedder"] = DescribeEmbedder(config.embedder);
    json["block_decoder"] = TrunkToJson(config.block_decoder);
    json["decoding"] = DescribeStrategy(config);
  }
  json[vanilla ? "trunk" : "token_decoder"] = TrunkToJson(config.token_decoder);

  std::map<std::string, std::pair<int64_t, int64_t>> parts;
  int64_t num_parameters = 0;
  for (const std::string& name : checkpoint->Names()) {
    ASSIGN_OR_RETURN(const TensorInfo info, checkpoint->Info(name));
    int64_t count = 1;
    for (int64_t extent : info.shape) count *= extent;
    num_parameters += count;
    auto& part = parts[PartOf(name)];
    part.first += count;
    part.second += count * static_cast<int64_t>(SizeOf(info.dtype));
  }
  json["parameters"] = num_parameters;
  json["bytes"] = checkpoint->total_bytes();
  for (const auto& [name, size] : parts) {
    json["parts"][name] = {{"parameters", size.first}, {"bytes", size.second}};
  }
  const TrunkConfig& cached = config.cached_trunk();
  const int64_t entry =
      int64_t{2} * cached.num_layers * cached.num_heads * cached.head_dim;
  json["kv_bytes_per_token"] = {
      {"bf16", static_cast<double>(entry) * 2 / config.block_length},
      {"fp32", static_cast<double>(entry) * 4 / config.block_length}};
  return json;
}

void PrintValue(const std::string& name, const ordered_json& value) {
  if (!value.is_object()) {
    std::cout << absl::StrFormat(
        "%-20s %s\n", name,
        value.is_string() ? value.get<std::string>() : value.dump());
    return;
  }
  std::string line;
  for (const auto& [key, entry] : value.items()) {
    absl::StrAppend(
        &line, line.empty() ? "" : ", ", key, " ",
        entry.is_string() ? entry.get<std::string>() : entry.dump());
  }
  std::cout << absl::StrFormat("%-20s %s\n", name, line);
}

int Inspect(const InspectFlags& flags) {
  const absl::StatusOr<ordered_json> json = InspectModel(flags.model);
  if (!json.ok()) return ReportError(json.status());
  if (flags.json) {
    std::cout << json->dump(1) << std::endl;
    return kExitOk;
  }
  for (const auto& [name, value] : json->items()) {
    if (name != "parts") {
      PrintValue(name, value);
      continue;
    }
    for (const auto& [part, size] : value.items()) {
      PrintValue("  " + part, size);
    }
  }
  return kExitOk;
}

}  // namespace

void AddInspectCommand(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<InspectFlags>();
  CLI::App* command = app.add_subcommand(
      "inspect", "Family, shapes, sizes of a checkpoint, without loading it");
  command->add_option("--model", flags->model, "Checkpoint directory")
      ->required();
  command->add_flag("--json", flags->json, "Print one JSON object");
  command->callback([flags, &exit_code] { exit_code = Inspect(*flags); });
}

}  // namespace blockserve
