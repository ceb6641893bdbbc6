#include "runtime/model/testing/tiny_checkpoint.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/weights/safetensors_builder.h"

namespace blockserve {
namespace {

constexpr int kFfnDim = 48;

std::string TrunkSection(const char* name) {
  return absl::StrCat(name, R"(:
  cls: gpt-neo-x
  model_name_or_path: EleutherAI/pythia-410m-deduped
  config:
    num_hidden_layers: 2
    num_attention_heads: 2
    intermediate_size: )",
                      kFfnDim, R"(
    hidden_size: )",
                      TinyCheckpoint::kHiddenDim, R"(
    vocab_size: )",
                      TinyCheckpoint::kVocabSize, "\n");
}

}  // namespace

TinyCheckpoint TinyCheckpoint::BlockTransformer(
    const std::string& embedder, const std::string& token_decoder) {
  TinyCheckpoint checkpoint;
  checkpoint.config_name_ = "config.yaml";
  checkpoint.config_ = absl::StrCat(
      "name: tiny\nblock_length: 4\nmax_length: 256\n"
      "tokenizer:\n  embedder: pythia\n  token_decoder: pythia\n"
      "embedder:\n  cls: lookup\n  model_name_or_path: null\n"
      "  n_embedding_tokens: 1\n  ",
      embedder, "\n  config:\n    vocab_size: ", kVocabSize,
      "\n    hidden_size: ", kHiddenDim, "\n", TrunkSection("block_decoder"),
      TrunkSection("token_decoder"), "  ", token_decoder,
      "\nprecision: fp32\n");
  checkpoint.Add("embedder.embeddings.weight", {kVocabSize, kHiddenDim});
  checkpoint.AddGptNeoX("block_decoder.gpt_neox.", 2);
  checkpoint.AddGptNeoX("token_decoder.gpt_neox.", 2);
  checkpoint.Add("token_decoder.embed_out.weight", {kVocabSize, kHiddenDim});
  return checkpoint;
}

TinyCheckpoint TinyCheckpoint::Vanilla(int num_layers, bool parallel_residual) {
  TinyCheckpoint checkpoint;
  checkpoint.config_name_ = "config.json";
  checkpoint.config_ = absl::StrCat(
      R"({"model_type": "gpt_neox", "architectures": ["GPTNeoXForCausalLM"],
 "num_attention_heads": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-5,
 "rotary_pct": 0.25, "rotary_emb_base": 10000, "max_position_embeddings": 256,
 "bos_token_id": 0, "eos_token_id": 0, "tie_word_embeddings": false,
 "num_hidden_layers": )",
      num_layers, ", \"hidden_size\": ", kHiddenDim,
      ", \"intermediate_size\": ", kFfnDim, ", \"vocab_size\": ", kVocabSize,
      ", \"use_parallel_residual\": ", parallel_residual ? "true" : "false",
      "}\n");
  checkpoint.AddGptNeoX("gpt_neox.", num_layers);
  checkpoint.Add("embed_out.weight", {kVocabSize, kHiddenDim});
  return checkpoint;
}

void TinyCheckpoint::AddGptNeoX(const std::string& prefix, int num_layers) {
  const auto add_dense = [this](const std::string& name, int64_t out_dim,
                                int64_t in_dim) {
    Add(absl::StrCat(name, ".weight"), {out_dim, in_dim});
    Add(absl::StrCat(name, ".bias"), {out_dim});
  };
  const auto add_norm = [this](const std::string& name) {
    Add(absl::StrCat(name, ".weight"), {kHiddenDim});
    Add(absl::StrCat(name, ".bias"), {kHiddenDim});
  };
  Add(absl::StrCat(prefix, "embed_in.weight"), {kVocabSize, kHiddenDim});
  for (int l = 0; l < num_layers; ++l) {
    const std::string layer = absl::StrCat(prefix, "layers.", l, ".");
    add_norm(absl::StrCat(layer, "input_layernorm"));
    add_norm(absl::StrCat(layer, "post_attention_layernorm"));
    add_dense(absl::StrCat(layer, "attention.query_key_value"), 3 * kHiddenDim,
              kHiddenDim);
    add_dense(absl::StrCat(layer, "attention.dense"), kHiddenDim, kHiddenDim);
    add_dense(absl::StrCat(layer, "mlp.dense_h_to_4h"), kFfnDim, kHiddenDim);
    add_dense(absl::StrCat(layer, "mlp.dense_4h_to_h"), kHiddenDim, kFfnDim);
  }
  add_norm(absl::StrCat(prefix, "final_layer_norm"));
}

void TinyCheckpoint::Add(const std::string& name, std::vector<int64_t> shape) {
  int64_t count = 1;
  for (int64_t extent : shape) count *= extent;
  const bool is_norm =
      absl::StrContains(name, "norm.weight") && shape.size() == 1;
  std::normal_distribution<float> distribution(is_norm ? 1.0f : 0.0f, 0.2f);
  TinyTensor tensor;
  tensor.shape = std::move(shape);
  tensor.values.resize(count);
  for (float& value : tensor.values) value = distribution(random_);
  tensors_[name] = std::move(tensor);
}

std::string TinyCheckpoint::Write() const {
  static int num_written = 0;
  const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
  const std::string directory =
      absl::StrCat(::testing::TempDir(), "/", test->name(), "_", num_written++);
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  SafetensorsBuilder builder;
  for (const auto& [name, tensor] : tensors_) {
    builder.Add<float>(name, "F32", tensor.shape, tensor.values);
  }
  std::ofstream(directory + "/model.safetensors", std::ios::binary)
      << builder.Build();
  std::ofstream(directory + "/" + config_name_) << config_;
  return directory;
}

}  // namespace blockserve
