#include "runtime/config/base_models.h"

#include <glog/logging.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/config/yaml_parser.h"

namespace blockserve {
namespace {

// Keys of every Hugging Face configuration that say nothing about what a model
// computes when it is served.
constexpr char kCommonKeys[] = R"(
architectures: null
initializer_range: 0.02
initializer_factor: 1.0
is_decoder: false
is_encoder_decoder: false
output_attentions: false
output_hidden_states: false
return_dict: true
torch_dtype: null
transformers_version: null
use_cache: true
)";

constexpr char kGptNeoX[] = R"(
model_type: gpt_neox
hidden_act: gelu
layer_norm_eps: 1e-5
rotary_pct: 0.25
rotary_emb_base: 10000
rope_scaling: null
max_position_embeddings: 2048
use_parallel_residual: true
attention_bias: true
tie_word_embeddings: false
bos_token_id: 0
eos_token_id: 0
pad_token_id: null
attention_dropout: 0.0
hidden_dropout: 0.0
classifier_dropout: 0.1
)";

constexpr char kPythia410mSizes[] = R"(
vocab_size: 50304
hidden_size: 1024
intermediate_size: 4096
num_attention_heads: 16
num_hidden_layers: 24
)";

constexpr char kPythia70mSizes[] = R"(
vocab_size: 50304
hidden_size: 512
intermediate_size: 2048
num_attention_heads: 8
num_hidden_layers: 6
)";

constexpr char kUnknownSizes[] = R"(
vocab_size: null
hidden_size: null
intermediate_size: null
num_attention_heads: null
num_hidden_layers: null
)";

constexpr char kRobertaBase[] = R"(
model_type: roberta
vocab_size: 50265
hidden_size: 768
intermediate_size: 3072
num_attention_heads: 12
num_hidden_layers: 12
hidden_act: gelu
layer_norm_eps: 1e-5
max_position_embeddings: 514
type_vocab_size: 1
position_embedding_type: absolute
tie_word_embeddings: true
bos_token_id: 0
pad_token_id: 1
eos_token_id: 2
attention_probs_dropout_prob: 0.1
hidden_dropout_prob: 0.1
classifier_dropout: null
)";

constexpr char kT5Small[] = R"(
model_type: t5
vocab_size: 32128
d_model: 512
d_ff: 2048
d_kv: 64
num_heads: 8
num_layers: 6
num_decoder_layers: 6
feed_forward_proj: relu
dense_act_fn: relu
is_gated_act: false
layer_norm_epsilon: 1e-6
relative_attention_num_buckets: 32
relative_attention_max_distance: 128
tie_word_embeddings: true
bos_token_id: null
eos_token_id: 1
pad_token_id: 0
decoder_start_token_id: 0
dropout_rate: 0.1
classifier_dropout: 0.0
n_positions: 512
)";

constexpr char kGptNeo13b[] = R"(
model_type: gpt_neo
vocab_size: 50257
hidden_size: 2048
intermediate_size: null
num_heads: 16
num_layers: 24
activation_function: gelu_new
layer_norm_epsilon: 1e-5
max_position_embeddings: 2048
window_size: 256
attention_types: null
tie_word_embeddings: true
bos_token_id: 50256
eos_token_id: 50256
pad_token_id: null
attention_dropout: 0
embed_dropout: 0
resid_dropout: 0
classifier_dropout: 0.1
)";

// The tables above are ours: a mistake in one is a bug.
std::shared_ptr<const ConfigNode> ParseTable(const std::string& text) {
  auto parsed = ParseYaml(text, "base model table");
  CHECK(parsed.ok()) << parsed.status();
  return *std::move(parsed);
}

const std::vector<BaseModel>& AllBaseModels() {
  static const auto* const models = new std::vector<BaseModel>{
      {"EleutherAI/pythia-410m-deduped", TrunkKind::kGptNeoX,
       ParseTable(absl::StrCat(kGptNeoX, kPythia410mSizes, kCommonKeys))},
      {"EleutherAI/pythia-70m-deduped", TrunkKind::kGptNeoX,
       ParseTable(absl::StrCat(kGptNeoX, kPythia70mSizes, kCommonKeys))},
      {"EleutherAI/gpt-neo-1.3B", TrunkKind::kGptNeo,
       ParseTable(absl::StrCat(kGptNeo13b, kCommonKeys))},
      {"roberta-base", TrunkKind::kRoberta,
       ParseTable(absl::StrCat(kRobertaBase, kCommonKeys))},
      {"t5-small", TrunkKind::kT5,
       ParseTable(absl::StrCat(kT5Small, kCommonKeys))},
  };
  return *models;
}

}  // namespace

const BaseModel* FindBaseModel(std::string_view name) {
  for (const BaseModel& model : AllBaseModels()) {
    if (model.name == name) return &model;
  }
  return nullptr;
}

std::string BaseModelNames(TrunkKind kind) {
  std::string names;
  for (const BaseModel& model : AllBaseModels()) {
    if (model.kind != kind) continue;
    absl::StrAppend(&names, names.empty() ? "" : " or ", model.name);
  }
  return names;
}

const ConfigNode& HuggingFaceGptNeoXDefaults() {
  static const auto* const defaults = new std::shared_ptr<const ConfigNode>(
      ParseTable(absl::StrCat(kGptNeoX, kUnknownSizes, kCommonKeys)));
  return **defaults;
}

const ConfigNode& LookupEmbedderKeys() {
  static const auto* const keys = new std::shared_ptr<const ConfigNode>(
      ParseTable("{vocab_size: null, hidden_size: null}"));
  return **keys;
}

}  // namespace blockserve
