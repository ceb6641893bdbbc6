// Variants of the models for which there are no reference vectors, against
// numbers worked out here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernels/reference/reference_ops.h"
#include "runtime/model/model.h"
#include "runtime/model/testing/generate.h"
#include "runtime/model/testing/tiny_checkpoint.h"

namespace blockserve {
namespace {

using ::testing::FloatNear;
using ::testing::Pointwise;

constexpr int kDim = TinyCheckpoint::kHiddenDim;

// What the observer saw: for each name, the values of all its tensors.
using Observed = std::map<std::string, std::vector<float>>;

// Runs `tokens` as one chunk of a model with one output per unit.
Observed Observe(const TinyCheckpoint& checkpoint,
                 const std::vector<int32_t>& tokens) {
  Observed observed;
  const auto ops = CreateReferenceOps(DType::kFloat32);
  ModelOptions options;
  options.limits = {.max_units_per_step = 8,
                    .max_rows_per_step = 8,
                    .max_sequences_per_step = 1,
                    .max_units_per_sequence = 16,
                    .num_pages = 1};
  options.observer = [&](std::string_view name, const TensorView& view) {
    std::vector<float>& values = observed[std::string(name)];
    values.insert(values.end(), view.as<float>(),
                  view.as<float>() + view.num_elements());
  };
  const auto model = LoadModel(checkpoint.Write(), options, *ops);
  EXPECT_TRUE(model.ok()) << model.status();
  if (!model.ok()) return observed;
  const int length = (*model)->tokens_per_step();
  const std::vector<int32_t> pages = {0};
  SequenceChunk chunk;
  chunk.tokens = tokens;
  chunk.pages = pages;
  chunk.num_outputs = static_cast<int>(tokens.size()) / length;
  const std::vector<DecodeRow> rows(chunk.num_outputs);
  const auto output =
      (*model)->Step({absl::MakeConstSpan(&chunk, 1), rows, length});
  EXPECT_TRUE(output.ok()) << output.status();
  return observed;
}

TEST(VariantsTest, SumAddsTheEmbeddingsOfABlock) {
  TinyCheckpoint checkpoint = TinyCheckpoint::BlockTransformer();
  TinyTensor& table = checkpoint.at("embedder.embeddings.weight");
  for (int id = 0; id < TinyCheckpoint::kVocabSize; ++id) {
    for (int i = 0; i < kDim; ++i) {
      table.values[id * kDim + i] = static_cast<float>(id) + 0.01f * i;
    }
  }
  const Observed observed =
      Observe(checkpoint, {1, 2, 3, 4, /**/ 10, 0, 10, 63});
  std::vector<float> expected(2 * kDim);
  for (int i = 0; i < kDim; ++i) {
    expected[i] = 1 + 2 + 3 + 4 + 4 * 0.01f * i;
    expected[kDim + i] = 10 + 0 + 10 + 63 + 4 * 0.01f * i;
  }
  EXPECT_THAT(observed.at("embedder.output"),
              Pointwise(FloatNear(1e-4f), expected));
}

TEST(VariantsTest, WithoutAnExpansionLayerTheContextIsRepeated) {
  const Observed observed =
      Observe(TinyCheckpoint::BlockTransformer(), {5, 6, 7, 8, 9, 10, 11, 12});
  const std::vector<float>& contexts = observed.at("block_decoder.output");
  ASSERT_EQ(contexts.size(), 2u * kDim);
  std::vector<float> expected;
  for (int row : {0, 0, 1, 1}) {
    expected.insert(expected.end(), contexts.begin() + row * kDim,
                    contexts.begin() + (row + 1) * kDim);
  }
  EXPECT_EQ(observed.at("expanded"), expected);
}

TEST(VariantsTest, MegabyteIsLookupAndSummation) {
  TinyCheckpoint checkpoint = TinyCheckpoint::BlockTransformer(
      "projection_method: projection_layer",
      "expansion_method: expansion_layer\n  decoding_strategy: summation");
  checkpoint.Add("embedder.projection_layer.weight", {kDim, kDim, 4});
  checkpoint.Add("embedder.projection_layer.bias", {kDim});
  checkpoint.Add("token_decoder.expansion_layer.weight", {4 * kDim, kDim, 1});
  checkpoint.Add("token_decoder.expansion_layer.bias", {4 * kDim});
  const Observed observed = Observe(checkpoint, {5, 6, 7, 8});

  // The first input of the token decoder: the embedding of BOS (0) and the
  // first expanded vector. Of the later ones we know the context's part.
  const std::vector<float>& expanded = observed.at("expanded");
  const std::vector<float>& inputs = observed.at("token_decoder.layer_input.0");
  const std::vector<float>& table =
      checkpoint.at("token_decoder.gpt_neox.embed_in.weight").values;
  ASSERT_EQ(expanded.size(), 4u * kDim);
  ASSERT_EQ(inputs.size(), 4u * kDim);
  for (int i = 0; i < kDim; ++i) {
    EXPECT_NEAR(inputs[i], table[i] + expanded[i], 1e-6f);
  }
  for (int offset = 1; offset < 4; ++offset) {
    int num_matches = 0;
    for (int id = 0; id < TinyCheckpoint::kVocabSize; ++id) {
      bool matches = true;
      for (int i = 0; i < kDim; ++i) {
        const int at = offset * kDim + i;
        matches &=
            std::abs(inputs[at] - expanded[at] - table[id * kDim + i]) < 1e-5f;
      }
      num_matches += matches;
    }
    EXPECT_EQ(num_matches, 1) << offset;
  }
}

// --- a sequential residual, in double and with one position ----------------

using Vector = std::vector<double>;

Vector Norm(const TinyCheckpoint& checkpoint, const std::string& name,
            const Vector& x);
Vector Dense(const TinyCheckpoint& checkpoint, const std::string& name,
             const Vector& x);

const std::vector<float>& ValuesOf(const TinyCheckpoint& checkpoint,
                                   const std::string& name) {
  return const_cast<TinyCheckpoint&>(checkpoint).at(name).values;
}

Vector Norm(const TinyCheckpoint& checkpoint, const std::string& name,
            const Vector& x) {
  double mean = 0;
  for (double value : x) mean += value / kDim;
  double variance = 0;
  for (double value : x) variance += (value - mean) * (value - mean) / kDim;
  Vector y(kDim);
  for (int i = 0; i < kDim; ++i) {
    y[i] = (x[i] - mean) / std::sqrt(variance + 1e-5) *
               ValuesOf(checkpoint, name + ".weight")[i] +
           ValuesOf(checkpoint, name + ".bias")[i];
  }
  return y;
}

Vector Dense(const TinyCheckpoint& checkpoint, const std::string& name,
             const Vector& x) {
  const std::vector<float>& weight = ValuesOf(checkpoint, name + ".weight");
  const std::vector<float>& bias = ValuesOf(checkpoint, name + ".bias");
  Vector y(bias.begin(), bias.end());
  for (size_t out = 0; out < y.size(); ++out) {
    for (size_t i = 0; i < x.size(); ++i) {
      y[out] += weight[out * x.size() + i] * x[i];
    }
  }
  return y;
}

TEST(VariantsTest, ASequentialResidualReadsWhatAttentionAdded) {
  for (const bool parallel : {false, true}) {
    const TinyCheckpoint checkpoint = TinyCheckpoint::Vanilla(1, parallel);
    const int id = 17;
    const Observed observed = Observe(checkpoint, {id});

    const std::vector<float>& table =
        ValuesOf(checkpoint, "gpt_neox.embed_in.weight");
    Vector x(table.begin() + id * kDim, table.begin() + (id + 1) * kDim);
    const std::string layer = "gpt_neox.layers.0.";
    // One position sees itself alone: attention gives its value. Heads of 16,
    // value behind query and key.
    const Vector qkv = Dense(checkpoint, layer + "attention.query_key_value",
                             Norm(checkpoint, layer + "input_layernorm", x));
    Vector value(kDim);
    for (int i = 0; i < kDim; ++i) value[i] = qkv[i / 16 * 48 + 32 + i % 16];
    const Vector attention =
        Dense(checkpoint, layer + "attention.dense", value);
    Vector ffn_input = x;
    for (int i = 0; i < kDim; ++i) {
      x[i] += attention[i];
      if (!parallel) ffn_input[i] = x[i];
    }
    Vector inner =
        Dense(checkpoint, layer + "mlp.dense_h_to_4h",
              Norm(checkpoint, layer + "post_attention_layernorm", ffn_input));
    for (double& v : inner) v = v / 2 * (1 + std::erf(v / std::sqrt(2.0)));
    const Vector ffn = Dense(checkpoint, layer + "mlp.dense_4h_to_h", inner);
    for (int i = 0; i < kDim; ++i) x[i] += ffn[i];
    const Vector expected = Norm(checkpoint, "gpt_neox.final_layer_norm", x);

    const std::vector<float>& output = observed.at("output");
    ASSERT_EQ(output.size(), expected.size());
    for (int i = 0; i < kDim; ++i) {
      EXPECT_NEAR(output[i], expected[i], 2e-6) << "parallel " << parallel;
    }
  }
}

}  // namespace
}  // namespace blockserve
