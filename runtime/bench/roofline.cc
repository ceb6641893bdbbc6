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

  Work Positions(double positions, double keys, int element_bytes) const {
    return {positions * (flop_per_position + keys * attention_flop_per_key),
            positions * keys * kv_elements_per_position * element_bytes};
  }
  Work Weights(int element_bytes) const {
    return {0, parameters * element_bytes};
  }
};

Work Head(const TrunkConfig& trunk, double rows, int element_bytes) {
  const double weights = double{1} * trunk.vocab_size * trunk.hidden_dim;
  return {2 * rows * weights, weights * element_bytes};
}

// The token decoder's passes over one block of `batch` sequences, and its head.
Work TokenDecoderWork(const ModelConfig& config, int element_bytes,
                      double batch) {
  const Trunk trunk(config.token_decoder);
  const bool has_prefix = config.strategy == DecodingStrategy::kPrefix;
  Work work;
  for (int offset = 0; offset < config.block_length; ++offset) {
    // A prefix takes the place of the first offset's input.
    const int begin = has_prefix ? config.expansion_ratio : 1;
    const double positions = offset == 0 ? begin : 1;
    const double keys = begin + offset;
    // Keys and values of a row are read once a pass, by all its positions.
    Work pass = trunk.Positions(positions, keys, element_bytes);
    pass.bytes /= positions;
    work += batch * pass;
    work += trunk.Weights(element_bytes);
    work += Head(config.token_decoder, batch, element_bytes);
  }
  return work;
}

Work ExpansionWork(const ModelConfig& config, int element_bytes, double batch) {
  if (!config.has_expansion_layer) return {};
  const double weights = double{1} * config.block_decoder.hidden_dim *
                         config.token_decoder.hidden_dim *
                         config.expansion_ratio;
  return {2 * batch * weights, weights * element_bytes};
}

}  // namespace

bool HasRoofline(const ModelConfig& config) {
  if (config.token_decoder.kind != TrunkKind::kGptNeoX) return false;
  return config.family == ModelFamily::kVanilla ||
         (config.block_decoder.kind == TrunkKind::kGptNeoX &&
          config.embedder.kind == EmbedderKind::kLookup &&
          config.strategy != DecodingStrategy::kCrossAttention);
}

Work DecodeStepWork(const ModelConfig& config, int element_bytes, double batch,
                    double context) {
  const Trunk cached(config.cached_trunk());
  Work work = cached.Positions(batch, context / config.tokens_per_step(),
                               element_bytes);
  work += cached.Weights(element_bytes);
  if (config.family == ModelFamily::kVanilla) {
    work += Head(config.token_decoder, batch, element_bytes);
  } else {
    work += ExpansionWork(config, element_bytes, batch);
    work += TokenDecoderWork(config, element_bytes, batch);
  }
  return work;
}

Work PrefillWork(const ModelConfig& config, int element_bytes,
                 const BatchShape& shape) {
  const Trunk cached(config.cached_trunk());
  const double length = config.tokens_per_step();
  const double units = std::ceil(shape.prefill / length) - 1;
  if (units <= 0) return {};
  // What a tile of queries reads of the cache is not counted.
  Work work = shape.batch * cached.Positions(units, units / 2, element_bytes);
  work.bytes = 0;
  const double num_chunks =
      std::ceil(shape.batch * units / shape.max_prefill_units);
  work += num_chunks * cached.Weights(element_bytes);
  return work;
}

Work DecodeWork(const ModelConfig& config, int element_bytes,
                const BatchShape& shape) {
  const double steps = double{1} * shape.decode / config.tokens_per_step();
  return steps * DecodeStepWork(config, element_bytes, shape.batch,
                                shape.prefill + shape.decode / 2.0);
}

}  // namespace blockserve
