#include "runtime/bench/roofline.h"

#include <cmath>

namespace blockserve {
namespace {

// One stack of layers, seen as numbers.
struct Trunk {
  double parameters = 0;
  double flop_per_position = 0;       // of its linear layers
  double attention_flop_per_key = 0;  // of one query
  double kv_elements_per_position = 0;

  explicit Trunk(const TrunkConfig& config) {
    const double layers = config.num_layers;
    const double dim = config.hidden_dim;
    const double attention = double{1} * config.num_heads * config.head_dim;
    const double ffn = config.ffn_dim;
    const double weights = 4 * dim * attention + 2 * dim * ffn;
    // Biases of the four products, two norms; then the norm behind them all.
    const double vectors = 3 * attention + dim + ffn + dim + 4 * dim;
    parameters = layers * (weights + vectors) + 2 * dim;
    flop_per_position = 2 * layers * weights;
    attention_flop_per_key = 4 * layers * attention;
    kv_elements_per_position = 2 * layers * attention;
  }

  // Linear layers of `positions`, with the weights read once.
  WorkPart Layers(WorkKind kind, double positions, int element_bytes) const {
    WorkPart part;
    part.kind = kind;
    part.work = {positions * flop_per_position, parameters * element_bytes};
    return part;
  }
  // Attention of `rows` of `positions` each over `keys`, which are read once a
  // row, by all its positions.
  WorkPart Attention(WorkKind kind, double rows, double positions, double keys,
                     int element_bytes) const {
    const double kv_bytes = kv_elements_per_position * element_bytes;
    WorkPart part;
    part.kind = kind;
    part.work = {rows * positions * keys * attention_flop_per_key,
                 rows * keys * kv_bytes};
    part.kv_bytes = rows * positions * kv_bytes;
    return part;
  }
};

WorkPart Head(const TrunkConfig& trunk, double rows, int element_bytes) {
  const double weights = double{1} * trunk.vocab_size * trunk.hidden_dim;
  WorkPart part;
  part.kind = WorkKind::kHead;
  part.work = {2 * rows * weights, weights * element_bytes};
  part.logits = rows * trunk.vocab_size;
  return part;
}

// The token decoder's passes over one block of `batch` sequences, and its head.
void AddTokenDecoder(const ModelConfig& config, int element_bytes, double batch,
                     std::vector<WorkPart>& parts) {
  const Trunk trunk(config.token_decoder);
  const bool has_prefix = config.strategy == DecodingStrategy::kPrefix;
  for (int offset = 0; offset < config.block_length; ++offset) {
    // A prefix takes the place of the first offset's input.
    const int begin = has_prefix ? config.expansion_ratio : 1;
    const double positions = offset == 0 ? begin : 1;
    parts.push_back(
        trunk.Layers(WorkKind::kTokenLayers, batch * positions, element_bytes));
    parts.push_back(trunk.Attention(WorkKind::kTokenAttention, batch, positions,
                                    begin + offset, element_bytes));
    parts.push_back(Head(config.token_decoder, batch, element_bytes));
  }
}

}  // namespace

bool HasRoofline(const ModelConfig& config) {
  if (config.token_decoder.kind != TrunkKind::kGptNeoX) return false;
  return config.family == ModelFamily::kVanilla ||
         (config.block_decoder.kind == TrunkKind::kGptNeoX &&
          config.embedder.kind == EmbedderKind::kLookup &&
          config.strategy != DecodingStrategy::kCrossAttention);
}

std::vector<WorkPart> DecodeStepWorkParts(const ModelConfig& config,
                                          int element_bytes, double batch,
                                          double context) {
  const Trunk cached(config.cached_trunk());
  std::vector<WorkPart> parts = {
      cached.Layers(WorkKind::kLayers, batch, element_bytes),
      cached.Attention(WorkKind::kAttention, batch, 1,
                       context / config.tokens_per_step(), element_bytes)};
  if (config.family == ModelFamily::kVanilla) {
    parts.push_back(Head(config.token_decoder, batch, element_bytes));
    return parts;
  }
  const double expansion = ExpansionParameters(config);
  parts[0].work += {2 * batch * expansion, expansion * element_bytes};
  AddTokenDecoder(config, element_bytes, batch, parts);
  return parts;
}

Work DecodeStepWork(const ModelConfig& config, int element_bytes, double batch,
                    double context) {
  Work work;
  for (const WorkPart& part :
       DecodeStepWorkParts(config, element_bytes, batch, context)) {
    work += part.work;
  }
  return work;
}

double PromptFlop(const ModelConfig& config, double positions) {
  const Trunk cached(config.cached_trunk());
  return positions * (cached.flop_per_position +
                      positions / 2 * cached.attention_flop_per_key);
}

double KvBytesPerPosition(const TrunkConfig& trunk, int element_bytes) {
  return Trunk(trunk).kv_elements_per_position * element_bytes;
}

double TrunkParameters(const TrunkConfig& trunk) {
  return Trunk(trunk).parameters;
}

double ExpansionParameters(const ModelConfig& config) {
  if (!config.has_expansion_layer) return 0;
  return double{1} * config.block_decoder.hidden_dim *
         config.token_decoder.hidden_dim * config.expansion_ratio;
}

Work PrefillWork(const ModelConfig& config, int element_bytes,
                 const BatchShape& shape) {
  const double length = config.tokens_per_step();
  const double units = std::ceil(shape.prefill / length) - 1;
  if (units <= 0) return {};
  // What a tile of queries reads of the cache is not counted.
  Work work{.flop = shape.batch * PromptFlop(config, units)};
  const double num_chunks =
      std::ceil(shape.batch * units / shape.max_prefill_units);
  work.bytes =
      num_chunks * TrunkParameters(config.cached_trunk()) * element_bytes;
  return work;
}

Work DecodeWork(const ModelConfig& config, int element_bytes,
                const BatchShape& shape) {
  const double steps = double{1} * shape.decode / config.tokens_per_step();
  return steps * DecodeStepWork(config, element_bytes, shape.batch,
                                shape.prefill + shape.decode / 2.0);
}

}  // namespace blockserve
