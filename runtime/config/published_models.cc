#include "runtime/config/published_models.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/substitute.h"
#include "runtime/config/model_config_reader.h"

namespace blockserve {
namespace {

struct BlockShape {
  const char* name;
  int block_layers;
  int block_dim;
  int token_layers;
  int token_dim;
  bool is_megabyte;  // summation instead of a prefix of two
};

// conf/trainer/block_main_*.yaml and block_megabyte_*.yaml of the authors'
// repository. Heads follow from the widths.
constexpr BlockShape kBlockShapes[] = {
    {"block_main_b4_5", 3, 256, 3, 256, false},
    {"block_main_b4_19", 3, 512, 3, 512, false},
    {"block_main_b4_85", 6, 768, 6, 768, false},
    {"block_main_b4_300", 12, 1024, 12, 1024, false},
    {"block_main_b4_800", 8, 2048, 8, 2048, false},
    {"block_main_b4_1.2b", 12, 2048, 12, 2048, false},
    {"block_megabyte_b4_5", 5, 256, 4, 128, true},
    {"block_megabyte_b4_19", 5, 512, 4, 256, true},
    {"block_megabyte_b4_85", 11, 768, 4, 512, true},
};

struct VanillaShape {
  const char* name;
  int layers;
  int dim;
  int heads;
};

// conf/trainer/vanilla_*.yaml.
constexpr VanillaShape kVanillaShapes[] = {
    {"vanilla_31", 6, 256, 8},
    {"vanilla_70", 6, 512, 8},
    {"vanilla_160", 12, 768, 12},
    {"vanilla_410", 24, 1024, 16},
};

// As the authors write their files: what is not here comes from the base model.
constexpr char kBlockYaml[] = R"(name: $0
block_length: 4
max_length: 2048
embedder:
  cls: lookup
  model_name_or_path: null
  n_embedding_tokens: 1
  projection_method: concat
  config: {vocab_size: 50304, hidden_size: $1}
block_decoder:
  cls: gpt-neo-x
  model_name_or_path: EleutherAI/pythia-410m-deduped
  config: {num_hidden_layers: $2, hidden_size: $3}
token_decoder:
  cls: gpt-neo-x
  model_name_or_path: EleutherAI/pythia-410m-deduped
  expansion_method: expansion_layer
  $4
  config: {num_hidden_layers: $5, hidden_size: $6}
precision: bf16
)";

constexpr char kVanillaYaml[] = R"(name: $0
max_length: 2048
model: gpt-neo-x
model_name_or_path: EleutherAI/pythia-410m-deduped
model_config:
  num_hidden_layers: $1
  hidden_size: $2
  num_attention_heads: $3
  intermediate_size: $4
precision: bf16
)";

std::string YamlOf(const BlockShape& shape) {
  return absl::Substitute(
      kBlockYaml, shape.name, shape.block_dim / 4, shape.block_layers,
      shape.block_dim,
      shape.is_megabyte ? "decoding_strategy: summation"
                        : "decoding_strategy: prefix\n  expansion_ratio: 2",
      shape.token_layers, shape.token_dim);
}

std::string YamlOf(const VanillaShape& shape) {
  return absl::Substitute(kVanillaYaml, shape.name, shape.layers, shape.dim,
                          shape.heads, 4 * shape.dim);
}

}  // namespace

std::vector<std::string> PublishedModelNames() {
  std::vector<std::string> names;
  for (const BlockShape& shape : kBlockShapes) names.push_back(shape.name);
  for (const VanillaShape& shape : kVanillaShapes) names.push_back(shape.name);
  return names;
}

absl::StatusOr<ModelConfig> PublishedModelConfig(std::string_view name) {
  for (const BlockShape& shape : kBlockShapes) {
    if (name == shape.name) return ParseYamlModelConfig(YamlOf(shape), name);
  }
  for (const VanillaShape& shape : kVanillaShapes) {
    if (name == shape.name) return ParseYamlModelConfig(YamlOf(shape), name);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "expected one of ", absl::StrJoin(PublishedModelNames(), ", "),
      ", got \"", std::string(name), "\""));
}

}  // namespace blockserve
