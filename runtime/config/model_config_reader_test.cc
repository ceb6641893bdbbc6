#include "runtime/config/model_config_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace blockserve {
namespace {

using ::testing::HasSubstr;

// A configuration in the published form.
constexpr char kPublished[] = R"(name: published
output_dir: null
dataset: pythia_pile
block_length: 4
block_split:
  distribution: fixed
  distribution_kwargs:
    length: 4
max_length: 2048
tokenizer:
  embedder: pythia
  token_decoder: pythia
embedder:
  cls: lookup
  model_name_or_path: null
  n_embedding_tokens: 1
  use_pretrained_weights: False
  projection_method: concat
  config:
    vocab_size: 50304
    hidden_size: 512
block_decoder:
  cls: gpt-neo-x
  model_name_or_path: EleutherAI/pythia-410m-deduped
  use_pretrained_weights: False
  loss_name: null
  attn_implementation: flash_attention_2
  config:
    num_hidden_layers: 12
    hidden_size: 2048
token_decoder:
  cls: gpt-neo-x
  model_name_or_path: EleutherAI/pythia-410m-deduped
  use_pretrained_weights: False
  expansion_method: expansion_layer
  expansion_ratio: 2
  decoding_strategy: prefix
  config:
    num_hidden_layers: 12
    hidden_size: 2048
token_decoding_loss:
  enable: true
learning_rate: 2.0e-4
precision: bf16
)";

using Edits = std::vector<std::pair<std::string, std::string>>;

// kPublished with the first occurrence of each text replaced.
std::string Edited(const Edits& edits) {
  std::string text = kPublished;
  for (const auto& [from, to] : edits) {
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    if (at != std::string::npos) text.replace(at, from.size(), to);
  }
  return text;
}

ModelConfig MustParse(const std::string& text) {
  const auto config = ParseYamlModelConfig(text, "config.yaml");
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? *config : ModelConfig{};
}

TEST(ModelConfigReaderTest, ReadsThePublished12B) {
  const ModelConfig config = MustParse(kPublished);
  EXPECT_EQ(config.name, "published");
  EXPECT_EQ(config.family, ModelFamily::kBlockTransformer);
  EXPECT_EQ(config.tokens_per_step(), 4);
  EXPECT_EQ(config.vocab_size, 50304);
  EXPECT_EQ(config.max_length, 2048);
  EXPECT_EQ(config.precision, "bf16");
  EXPECT_EQ(config.embedder.hidden_dim, 512);
  EXPECT_EQ(config.embedder.projection, EmbedderProjection::kConcat);
  EXPECT_EQ(config.strategy, DecodingStrategy::kPrefix);
  EXPECT_EQ(config.expansion_ratio, 2);
  EXPECT_TRUE(config.has_expansion_layer);
  for (const TrunkConfig& trunk :
       {config.block_decoder, config.token_decoder}) {
    EXPECT_EQ(trunk.kind, TrunkKind::kGptNeoX);
    EXPECT_EQ(trunk.hidden_dim, 2048);
    EXPECT_EQ(trunk.num_layers, 12);
    EXPECT_EQ(trunk.head_dim, 128);  // by the width, not by the base model
    EXPECT_EQ(trunk.num_heads, 16);
    EXPECT_EQ(trunk.ffn_dim, 8192);
    EXPECT_EQ(trunk.rotary_dim(), 32);
    EXPECT_EQ(trunk.vocab_size, 50304);
    EXPECT_FLOAT_EQ(trunk.norm_eps, 1e-5f);
    EXPECT_TRUE(trunk.parallel_residual);
  }
  EXPECT_EQ(config.special.bos, 0);
  EXPECT_EQ(config.special.eos, 0);
  EXPECT_EQ(config.special.fill, 0);
  EXPECT_EQ(config.special.finished_row_pad, 1);
  EXPECT_EQ(config.special.prompt_pad, 0);
  EXPECT_EQ(&config.cached_trunk(), &config.block_decoder);
}

TEST(ModelConfigReaderTest, ReadsThePublished85M) {
  const ModelConfig config =
      MustParse(Edited({{"hidden_size: 512", "hidden_size: 192"},
                        {"hidden_size: 2048", "hidden_size: 768"},
                        {"hidden_size: 2048", "hidden_size: 768"}}));
  EXPECT_EQ(config.block_decoder.head_dim, 64);
  EXPECT_EQ(config.block_decoder.num_heads, 12);
  EXPECT_EQ(config.block_decoder.ffn_dim, 3072);
  EXPECT_EQ(config.block_decoder.rotary_dim(), 16);
}

TEST(ModelConfigReaderTest, ReadsThePublishedMegabyteForm) {
  const ModelConfig config = MustParse(
      Edited({{"hidden_size: 512", "hidden_size: 192"},
              {"hidden_size: 2048", "hidden_size: 768"},
              {"  expansion_ratio: 2\n", ""},
              {"decoding_strategy: prefix", "decoding_strategy: summation"},
              {"hidden_size: 2048", "hidden_size: 512"}}));
  EXPECT_EQ(config.strategy, DecodingStrategy::kSummation);
  EXPECT_EQ(config.expansion_ratio, 4);
  EXPECT_EQ(config.token_decoder.num_heads, 8);
}

constexpr char kRoberta[] = R"(
  cls: roberta_cls
  model_name_or_path: roberta-base
  n_cls_tokens: 3
  projection_method: null
  config:
    num_hidden_layers: 3
    hidden_size: 256
    vocab_size: 50304
)";

TEST(ModelConfigReaderTest, ReadsRobertaAndT5) {
  std::string text = Edited(
      {{"decoding_strategy: prefix", "decoding_strategy: cross_attention"},
       {"  expansion_ratio: 2\n", ""}});
  const size_t embedder = text.find("embedder:\n  cls") + 9;
  text.replace(embedder, text.find("block_decoder:") - embedder, kRoberta);
  const size_t decoder = text.find("token_decoder:\n  cls") + 15;
  text.replace(decoder, text.find("  use_pre", decoder) - decoder,
               "  cls: t5\n  model_name_or_path: t5-small\n");
  const size_t sizes = text.find("    num_hidden_layers: 12", decoder);
  text.replace(sizes, text.find("token_decoding_loss") - sizes,
               "    d_model: 768\n    d_ff: 3072\n    num_layers: 5\n"
               "    num_decoder_layers: 6\n    num_heads: 12\n"
               "    vocab_size: 50304\n");
  const ModelConfig config = MustParse(text);
  EXPECT_EQ(config.embedder.kind, EmbedderKind::kRobertaCls);
  EXPECT_EQ(config.embedder.num_cls_tokens, 3);
  EXPECT_EQ(config.embedder.projection, EmbedderProjection::kProjectionLayer);
  EXPECT_EQ(config.embedder.pad_token_id, 1);
  EXPECT_EQ(config.embedder.trunk.head_dim, 32);
  EXPECT_EQ(config.embedder.trunk.ffn_dim, 1024);
  EXPECT_EQ(config.embedder.trunk.max_positions, 514);
  EXPECT_EQ(config.token_decoder.kind, TrunkKind::kT5);
  EXPECT_EQ(config.token_decoder.num_layers, 6);
  EXPECT_EQ(config.token_decoder.head_dim, 64);
  EXPECT_FLOAT_EQ(config.token_decoder.norm_eps, 1e-6f);
  EXPECT_EQ(config.expansion_ratio, 4);
  EXPECT_EQ(config.special.bos, 1);  // T5 has no BOS: its EOS
  EXPECT_EQ(config.special.eos, 1);
  EXPECT_EQ(config.special.fill, 0);
  EXPECT_EQ(config.special.prompt_pad, 1);
}

TEST(ModelConfigReaderTest, ReadsSumProjection) {
  const ModelConfig config =
      MustParse(Edited({{"projection_method: concat", "projection_method: sum"},
                        {"hidden_size: 512", "hidden_size: 2048"}}));
  EXPECT_EQ(config.embedder.projection, EmbedderProjection::kSum);
}

TEST(ModelConfigReaderTest, BaseModelAppliesWithoutOverrides) {
  // Only what is overridden is filled in automatically.
  const ModelConfig config = MustParse(
      "model: gpt-neo-x\n"
      "model_name_or_path: EleutherAI/pythia-70m-deduped\n");
  EXPECT_EQ(config.family, ModelFamily::kVanilla);
  EXPECT_EQ(config.tokens_per_step(), 1);
  EXPECT_EQ(config.token_decoder.num_heads, 8);
  EXPECT_EQ(config.token_decoder.hidden_dim, 512);
  EXPECT_EQ(config.precision, "");
  EXPECT_EQ(config.max_length, 0);
}

TEST(ModelConfigReaderTest, VanillaKeepsTheBaseModelsFfnWidth) {
  const ModelConfig config = MustParse(
      "model: gpt-neo-x\n"
      "model_name_or_path: EleutherAI/pythia-410m-deduped\n"
      "model_config: {num_hidden_layers: 6, num_attention_heads: 8, "
      "hidden_size: 256}\n");
  EXPECT_EQ(config.token_decoder.ffn_dim, 4096);
  EXPECT_EQ(config.token_decoder.head_dim, 32);
}

struct BadConfig {
  Edits edits;
  absl::StatusCode code;
  const char* message;
};

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kUnimplemented = absl::StatusCode::kUnimplemented;

TEST(ModelConfigReaderTest, RefusesBadValuesNamingTheKey) {
  const std::vector<BadConfig> table = {
      {{{"block_length: 4", "block_length: 0"}},
       kInvalid,
       "config.yaml:4: block_length: expected an integer in [1, 64], got "
       "\"0\""},
      {{{"block_length: 4", "block_length: 65"}}, kInvalid, "block_length"},
      {{{"block_length: 4", "block_length: four"}}, kInvalid, "got \"four\""},
      {{{"block_length: 4", "block_length: '4'"}}, kInvalid, "block_length"},
      {{{"block_length: 4", "block_length: [4]"}}, kInvalid, "got a list"},
      {{{"block_length: 4", "block_length: null"}}, kInvalid, "got null"},
      {{{"block_length: 4\n", ""}}, kInvalid, "block_length: expected"},
      {{{"cls: lookup", "cls: t5"}},
       kUnimplemented,
       "embedder.cls: expected lookup or roberta or roberta_cls, got \"t5\""},
      {{{"cls: lookup", "cls: {a: b}"}}, kInvalid, "got a map"},
      {{{"  cls: lookup\n", ""}}, kInvalid, "embedder.cls"},
      {{{"n_embedding_tokens: 1", "n_embedding_tokens: 2"}},
       kUnimplemented,
       "embedder.n_embedding_tokens: expected 1, got 2"},
      {{{"projection_method: concat", "projection_method: mean"}},
       kUnimplemented,
       "embedder.projection_method"},
      {{{"projection_method: concat", "projection_method: sum"}},
       kInvalid,
       "sum expects block_decoder's 2048, got 512"},
      {{{"hidden_size: 512", "hidden_size: 500"}},
       kInvalid,
       "concat expects 4 embeddings"},
      {{{"hidden_size: 512", "hidden_dim: 512"}},
       kInvalid,
       "config.yaml:21: embedder.config.hidden_dim: unknown key"},
      {{{"vocab_size: 50304", "vocab_size: 512"}},
       kInvalid,
       "embedder.config.vocab_size"},
      {{{"vocab_size: 50304", "vocab_size: 4294967297"}},
       kInvalid,
       "vocab_size"},
      {{{"vocab_size: 50304", "vocab_size: -1"}}, kInvalid, "vocab_size"},
      {{{"vocab_size: 50304", "vocab_size: 1e4"}}, kInvalid, "vocab_size"},
      {{{"cls: gpt-neo-x", "cls: llama"}},
       kUnimplemented,
       "block_decoder.cls: expected gpt-neo-x or gpt-neo, got \"llama\""},
      {{{"pythia-410m-deduped", "pythia-nope"}},
       kUnimplemented,
       "block_decoder.model_name_or_path"},
      {{{"EleutherAI/pythia-410m-deduped", "t5-small"}},
       kUnimplemented,
       "block_decoder.model_name_or_path"},
      {{{"EleutherAI/pythia-410m-deduped", "null"}},
       kInvalid,
       "block_decoder.model_name_or_path"},
      {{{"num_hidden_layers: 12", "num_layers: 12"}},
       kInvalid,
       "config.yaml:29: block_decoder.config.num_layers: unknown key: not in "
       "the configuration of EleutherAI/pythia-410m-deduped"},
      {{{"num_hidden_layers: 12", "num_hidden_layers: 0"}},
       kInvalid,
       "num_hidden_layers"},
      {{{"hidden_size: 2048", "hidden_size: 2000"}},
       kInvalid,
       "expected a multiple of the head size 128, got 2000"},
      {{{"hidden_size: 2048", "hidden_size: 2048\n    num_attention_heads: 7"}},
       kInvalid,
       "expected a multiple of num_attention_heads (7)"},
      {{{"hidden_size: 2048", "hidden_size: 2048\n    rotary_pct: 1.5"}},
       kInvalid,
       "rotary_pct: expected a number in [0, 1], got \"1.5\""},
      {{{"hidden_size: 2048", "hidden_size: 2048\n    rotary_pct: .nan"}},
       kInvalid,
       "rotary_pct"},
      {{{"hidden_size: 2048", "hidden_size: 2048\n    layer_norm_eps: -1"}},
       kInvalid,
       "layer_norm_eps"},
      {{{"hidden_size: 2048", "hidden_size: 2048\n    hidden_act: relu"}},
       kUnimplemented,
       "hidden_act: expected gelu, got \"relu\""},
      {{{"hidden_size: 2048", "hidden_size: 2048\n    attention_bias: false"}},
       kUnimplemented,
       "attention_bias"},
      {{{"hidden_size: 2048", "hidden_size: 2048\n    eos_token_id: 99999999"}},
       kInvalid,
       "eos_token_id"},
      {{{"decoding_strategy: prefix", "decoding_strategy: suffix"}},
       kUnimplemented,
       "token_decoder.decoding_strategy"},
      {{{"decoding_strategy: prefix", "decoding_strategy: cross_attention"}},
       kUnimplemented,
       "cross_attention and cls t5 need each other"},
      {{{"decoding_strategy: prefix", "decoding_strategy: summation"}},
       kInvalid,
       "summation expects block_length (4), got 2"},
      {{{"  expansion_ratio: 2\n", ""}},
       kInvalid,
       "token_decoder.expansion_ratio: expected an integer"},
      {{{"expansion_method: expansion_layer", "expansion_method: magic"}},
       kUnimplemented,
       "expansion_method"},
      {{{"expansion_method: expansion_layer", "expansion_method: null"},
        {"hidden_size: 512", "hidden_size: 192"},
        {"hidden_size: 2048", "hidden_size: 768"}},
       kInvalid,
       "expected expansion_layer"},
      {{{"embedder: pythia", "embedder: llama"}},
       kUnimplemented,
       "tokenizer.embedder: expected pythia, got \"llama\""},
      {{{"precision: bf16", "precision: int8"}}, kUnimplemented, "precision"},
      {{{"name: published", "name: \"a\\nb\""}}, kInvalid, "name"},
      {{{"max_length: 2048", "max_length: 99999999999"}},
       kInvalid,
       "max_length"},
      {{{"precision: bf16", "precision: bf16\nprecision: bf16"}},
       kInvalid,
       "key \"precision\" is given twice"},
  };
  for (const BadConfig& bad : table) {
    const auto config = ParseYamlModelConfig(Edited(bad.edits), "config.yaml");
    EXPECT_EQ(config.status().code(), bad.code) << bad.message << "\n"
                                                << config.status();
    EXPECT_THAT(std::string(config.status().message()), HasSubstr(bad.message));
    EXPECT_EQ(config.status().message().find('\n'), std::string::npos);
  }
}

TEST(ModelConfigReaderTest, RefusesAnOddNumberOfRotatedElements) {
  const auto config = ParseYamlModelConfig(
      Edited({{"hidden_size: 2048",
               "hidden_size: 2048\n    num_attention_heads: 256\n"
               "    rotary_pct: 0.375"}}),
      "config.yaml");
  EXPECT_THAT(std::string(config.status().message()),
              HasSubstr("even number of rotated elements, got 3"));
}

constexpr char kNeoXJson[] = R"({
  "architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox",
  "vocab_size": 50304, "hidden_size": 512, "intermediate_size": 2048,
  "num_attention_heads": 8, "num_hidden_layers": 6, "hidden_act": "gelu",
  "layer_norm_eps": 1e-05, "rotary_pct": 0.25, "bos_token_id": 0,
  "eos_token_id": 0, "torch_dtype": "float16", "use_parallel_residual": false,
  "max_position_embeddings": 1024, "something_else": {"a": [1]}})";

std::string EditedJson(const std::string& from, const std::string& to) {
  std::string text = kNeoXJson;
  return text.replace(text.find(from), from.size(), to);
}

TEST(ModelConfigReaderTest, ReadsHuggingFaceJson) {
  const auto config = ParseHfModelConfig(kNeoXJson, "config.json");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->family, ModelFamily::kVanilla);
  EXPECT_EQ(config->token_decoder.head_dim, 64);
  EXPECT_FALSE(config->token_decoder.parallel_residual);
  EXPECT_EQ(config->precision, "fp16");
  EXPECT_EQ(config->max_length, 1024);
}

TEST(ModelConfigReaderTest, RefusesBadJson) {
  const std::vector<std::pair<std::string, std::string>> edits = {
      {"gpt_neox", "llama"},
      {"\"model_type\": \"gpt_neox\",", ""},
      {"\"hidden_size\": 512", "\"hidden_size\": \"512\""},
      {"\"hidden_size\": 512", "\"hidden_size\": 511"},
      {"\"hidden_size\": 512", "\"hidden_size\": 1e3"},
      {"\"hidden_size\": 512", "\"hidden_size\": 512, \"hidden_size\": 512"},
      {"\"hidden_size\": 512,", ""},
      {"\"gelu\"", "\"gelu_new\""},
      {"\"something_else\": {", "\"rope_scaling\": {"},
      {"\"something_else\": {", "\"rope_parameters\": {"},
      {"\"something_else\": {", "\"tie_word_embeddings\": {"},
      {"\"eos_token_id\": 0", "\"eos_token_id\": [0]"},
      {"\"eos_token_id\": 0,", ""},
      {"[1]", "[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]"},
      {"{", ""}};
  for (const auto& [from, to] : edits) {
    const auto config = ParseHfModelConfig(EditedJson(from, to), "config.json");
    EXPECT_FALSE(config.ok()) << from << " -> " << to;
    EXPECT_EQ(config.status().message().find("config.json"), 0u)
        << config.status();
  }
  EXPECT_FALSE(ParseHfModelConfig("[]", "config.json").ok());
  EXPECT_FALSE(ParseHfModelConfig("", "config.json").ok());
}

TEST(ModelConfigReaderTest, DirectoryNamesAModelWithoutName) {
  const std::string directory = ::testing::TempDir() + "/my-model";
  std::filesystem::create_directories(directory);
  EXPECT_EQ(ReadModelConfig(directory).status().code(),
            absl::StatusCode::kNotFound);
  std::ofstream(directory + "/config.json") << kNeoXJson;
  const auto config = ReadModelConfig(directory + "/");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->name, "my-model");
}

TEST(ModelConfigReaderTest, ReadsEveryCommittedModel) {
  std::vector<std::string> roots = {"tests/testdata/golden", "models"};
  if (const char* shared = std::getenv("BLOCKSERVE_SHARED_DIR")) {
    roots.push_back(std::string(shared) + "/golden");
    roots.push_back(std::string(shared) + "/demo");
  }
  int num_models = 0;
  for (const std::string& root : roots) {
    if (!std::filesystem::is_directory(root)) continue;
    for (const auto& entry : std::filesystem::directory_iterator(root)) {
      if (!entry.is_directory()) continue;
      const auto config = ReadModelConfig(entry.path().string());
      EXPECT_TRUE(config.ok()) << config.status();
      ++num_models;
    }
  }
  EXPECT_GE(num_models, 13);
}

TEST(ModelConfigReaderTest, YamlAndJsonOfTheVanillaCaseAgree) {
  const std::string directory = "tests/testdata/golden/k_vanilla";
  const auto from_yaml = ReadModelConfig(directory);
  std::ifstream file(directory + "/config.json");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto from_json = ParseHfModelConfig(text, "config.json");
  ASSERT_TRUE(from_yaml.ok()) << from_yaml.status();
  ASSERT_TRUE(from_json.ok()) << from_json.status();
  const TrunkConfig& a = from_yaml->token_decoder;
  const TrunkConfig& b = from_json->token_decoder;
  EXPECT_EQ(a.hidden_dim, b.hidden_dim);
  EXPECT_EQ(a.ffn_dim, b.ffn_dim);
  EXPECT_EQ(a.num_heads, b.num_heads);
  EXPECT_EQ(a.num_layers, b.num_layers);
  EXPECT_EQ(a.vocab_size, b.vocab_size);
  EXPECT_EQ(a.rotary_dim(), b.rotary_dim());
  EXPECT_EQ(a.parallel_residual, b.parallel_residual);
  EXPECT_EQ(from_yaml->special.eos, from_json->special.eos);
  EXPECT_EQ(from_yaml->special.finished_row_pad, 0);
}

}  // namespace
}  // namespace blockserve
