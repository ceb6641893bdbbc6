#include "runtime/bench/random_checkpoint.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

using Shape = std::vector<int64_t>;
using Shapes = std::map<std::string, Shape, std::less<>>;

constexpr double kStandardDeviation = 0.02;

int64_t NumElements(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  return count;
}

void AddDense(const std::string& prefix, int64_t out_dim, int64_t in_dim,
              Shapes& shapes) {
  shapes[absl::StrCat(prefix, ".weight")] = {out_dim, in_dim};
  shapes[absl::StrCat(prefix, ".bias")] = {out_dim};
}

void AddNorm(const std::string& prefix, int64_t dim, Shapes& shapes) {
  shapes[absl::StrCat(prefix, ".weight")] = {dim};
  shapes[absl::StrCat(prefix, ".bias")] = {dim};
}

void AddTrunk(const TrunkConfig& trunk, const std::string& prefix,
              Shapes& shapes) {
  const int64_t dim = trunk.hidden_dim;
  const int64_t attention_dim = int64_t{trunk.num_heads} * trunk.head_dim;
  for (int l = 0; l < trunk.num_layers; ++l) {
    const std::string layer = absl::StrCat(prefix, "layers.", l, ".");
    AddNorm(layer + "input_layernorm", dim, shapes);
    AddNorm(layer + "post_attention_layernorm", dim, shapes);
    AddDense(layer + "attention.query_key_value", 3 * attention_dim, dim,
             shapes);
    AddDense(layer + "attention.dense", dim, attention_dim, shapes);
    AddDense(layer + "mlp.dense_h_to_4h", trunk.ffn_dim, dim, shapes);
    AddDense(layer + "mlp.dense_4h_to_h", dim, trunk.ffn_dim, shapes);
  }
  AddNorm(prefix + "final_layer_norm", dim, shapes);
}

absl::StatusOr<Shapes> ShapesOf(const ModelConfig& config) {
  const TrunkConfig& last = config.token_decoder;
  const bool is_vanilla = config.family == ModelFamily::kVanilla;
  if (last.kind != TrunkKind::kGptNeoX ||
      (!is_vanilla &&
       (config.block_decoder.kind != TrunkKind::kGptNeoX ||
        config.embedder.kind != EmbedderKind::kLookup ||
        config.embedder.projection != EmbedderProjection::kConcat))) {
    return absl::UnimplementedError(
        absl::StrCat(config.name,
                     ": random weights are made for gpt-neo-x decoders with a "
                     "lookup embedder only"));
  }
  Shapes shapes;
  const std::string prefix = is_vanilla ? "" : "token_decoder.";
  shapes[prefix + "gpt_neox.embed_in.weight"] = {last.vocab_size,
                                                 last.hidden_dim};
  shapes[prefix + "embed_out.weight"] = {last.vocab_size, last.hidden_dim};
  AddTrunk(last, prefix + "gpt_neox.", shapes);
  if (is_vanilla) return shapes;

  shapes["embedder.embeddings.weight"] = {config.embedder.vocab_size,
                                          config.embedder.hidden_dim};
  AddTrunk(config.block_decoder, "block_decoder.gpt_neox.", shapes);
  if (config.has_expansion_layer) {
    const int64_t out_dim = int64_t{config.expansion_ratio} * last.hidden_dim;
    shapes["token_decoder.expansion_layer.weight"] = {
        out_dim, config.block_decoder.hidden_dim, 1};
    shapes["token_decoder.expansion_layer.bias"] = {out_dim};
  }
  return shapes;
}

// 32 well mixed bits (MurmurHash3's finalizer). No more: the loop over it must
// vectorise, since a large model has 1.4 billion weights.
inline uint32_t Mix(uint32_t x) {
  x ^= x >> 16;
  x *= 0x85ebca6bu;
  x ^= x >> 13;
  x *= 0xc2b2ae35u;
  return x ^ (x >> 16);
}

// Elements from `begin` on of the tensor that `key` stands for.
void FillUniform(uint64_t key, int64_t begin, absl::Span<float> out) {
  const auto scale =
      static_cast<float>(kStandardDeviation * std::sqrt(3.0) / 2147483648.0);
  const uint32_t low = Mix(static_cast<uint32_t>(key));
  const uint32_t high = static_cast<uint32_t>(key >> 32);
  float* const values = out.data();
  const auto first = static_cast<uint32_t>(begin);
  const auto count = static_cast<uint32_t>(out.size());
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t bits = Mix(Mix((first + i) ^ low) + high);
    values[i] = static_cast<float>(static_cast<int32_t>(bits)) * scale;
  }
}

class RandomCheckpoint final : public Checkpoint {
 public:
  RandomCheckpoint(std::string source, Shapes shapes, uint64_t seed)
      : source_(std::move(source)), shapes_(std::move(shapes)), seed_(seed) {
    for (const auto& [name, shape] : shapes_) {
      total_bytes_ += NumElements(shape) * kElementBytes;
    }
  }

  bool Has(std::string_view name) const override {
    return shapes_.find(name) != shapes_.end();
  }

  std::vector<std::string> Names() const override {
    std::vector<std::string> names;
    for (const auto& [name, shape] : shapes_) names.push_back(name);
    return names;
  }

  absl::StatusOr<TensorInfo> Info(std::string_view name) const override {
    const auto found = shapes_.find(name);
    if (found == shapes_.end()) {
      return absl::NotFoundError(
          absl::StrCat(source_, ": tensor ", std::string(name), " is missing"));
    }
    return TensorInfo{.dtype = DType::kBFloat16, .shape = found->second};
  }

  absl::Status Read(std::string_view name, absl::Span<const int64_t> shape,
                    absl::Span<float> out) override {
    ASSIGN_OR_RETURN(const TensorInfo info, Info(name));
    if (absl::MakeConstSpan(info.shape) != shape ||
        NumElements(info.shape) != static_cast<int64_t>(out.size())) {
      return WrongShape(name, shape, info.shape);
    }
    Fill(name, 0, out);
    return absl::OkStatus();
  }

  absl::Status ReadSlice(std::string_view name, int64_t num_rows,
                         int64_t num_columns, Range rows, Range columns,
                         absl::Span<float> out) override {
    ASSIGN_OR_RETURN(const TensorInfo info, Info(name));
    Shape shape = info.shape;
    if (shape.size() == 3 && shape.back() == 1) shape.pop_back();
    if (shape != Shape{num_rows, num_columns}) {
      return WrongShape(name, {num_rows, num_columns}, info.shape);
    }
    if (columns.size() == num_columns) {
      Fill(name, rows.begin * num_columns, out);
      return absl::OkStatus();
    }
    const auto width = static_cast<size_t>(columns.size());
    for (int64_t row = rows.begin; row < rows.end; ++row) {
      Fill(name, row * num_columns + columns.begin, out.first(width));
      out.remove_prefix(width);
    }
    return absl::OkStatus();
  }

  void MarkUnused(std::string_view name) override {
    accounted_.insert(std::string(name));
  }

  absl::Status CheckAllRead() const override {
    for (const auto& [name, shape] : shapes_) {
      if (accounted_.count(name) > 0) continue;
      return absl::InternalError(absl::StrCat(
          source_, ": no part of the model has asked for tensor ", name));
    }
    return absl::OkStatus();
  }

  int64_t total_bytes() const override { return total_bytes_; }
  int64_t bytes_read() const override { return bytes_read_; }
  void SetProgress(std::function<void(int64_t, int64_t)> progress) override {
    progress_ = std::move(progress);
  }

 private:
  static constexpr int64_t kElementBytes = 2;  // as published: bf16

  absl::Status WrongShape(std::string_view name,
                          absl::Span<const int64_t> expected,
                          absl::Span<const int64_t> got) const {
    return absl::DataLossError(
        absl::StrCat(source_, ": tensor ", std::string(name),
                     ": expected shape [", absl::StrJoin(expected, ", "),
                     "], got [", absl::StrJoin(got, ", "), "]"));
  }

  void Fill(std::string_view name, int64_t begin, absl::Span<float> out) {
    accounted_.insert(std::string(name));
    if (name.ends_with(".bias")) {
      std::fill(out.begin(), out.end(), 0.0f);
    } else if (name.ends_with("norm.weight")) {
      std::fill(out.begin(), out.end(), 1.0f);
    } else {
      FillUniform(KeyOf(name), begin, out);
    }
    bytes_read_ += static_cast<int64_t>(out.size()) * kElementBytes;
    if (progress_) progress_(bytes_read_, total_bytes_);
  }

  // FNV-1a over the name, from the seed on: the same on every machine.
  uint64_t KeyOf(std::string_view name) const {
    uint64_t key = 0xcbf29ce484222325u ^ (seed_ * 0x9e3779b97f4a7c15u);
    for (const char c : name) {
      key = (key ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    }
    return key;
  }

  const std::string source_;
  const Shapes shapes_;
  const uint64_t seed_;
  int64_t total_bytes_ = 0;
  int64_t bytes_read_ = 0;
  std::set<std::string, std::less<>> accounted_;
  std::function<void(int64_t, int64_t)> progress_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Checkpoint>> CreateRandomCheckpoint(
    const ModelConfig& config, uint64_t seed) {
  ASSIGN_OR_RETURN(Shapes shapes, ShapesOf(config));
  return std::make_unique<RandomCheckpoint>(
      absl::StrCat("random ", config.name), std::move(shapes), seed);
}

}  // namespace blockserve
