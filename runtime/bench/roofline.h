// What a machine must do at least for a token, and what share of the machine
// that is: the arithmetic behind `roofline_share`.
//
// Counted as in the field ("model FLOP"): every linear layer over every
// position of the model, whether or not an engine finds rows that nobody reads.
// Bytes are keys and values read and each weight once per matrix product that
// it takes part in: weights of the block decoder once a step, those of token
// decoder and head once a token of the block. Norms, embeddings and activations
// are not counted.
#ifndef BLOCKSERVE_RUNTIME_BENCH_ROOFLINE_H_
#define BLOCKSERVE_RUNTIME_BENCH_ROOFLINE_H_

#include "runtime/config/model_config.h"

namespace blockserve {

struct Work {
  double flop = 0;
  double bytes = 0;

  Work& operator+=(const Work& other) {
    flop += other.flop;
    bytes += other.bytes;
    return *this;
  }
  friend Work operator*(double factor, const Work& work) {
    return {factor * work.flop, factor * work.bytes};
  }
  // Seconds on a machine of these peaks, one after the other.
  double SecondsAt(double flop_per_second, double bytes_per_second) const {
    return flop / flop_per_second + bytes / bytes_per_second;
  }
};

// One batch of sequences of the same length.
struct BatchShape {
  int batch = 1;
  int prefill = 0;              // prompt tokens of a sequence
  int decode = 0;               // new tokens of a sequence
  int max_prefill_units = 512;  // prompt units a step
};

// Whether the functions below know the kind of model: lookup embedder, GPT-NeoX
// trunks, prefix or summation.
bool HasRoofline(const ModelConfig& config);

// One step of `batch` sequences that have `context` tokens in the cache:
// tokens_per_step() tokens for each.
Work DecodeStepWork(const ModelConfig& config, int element_bytes, double batch,
                    double context);

// All prompts, but for the last unit of each, which the first decode step runs.
Work PrefillWork(const ModelConfig& config, int element_bytes,
                 const BatchShape& shape);

// All decode steps, at the mean of their contexts.
Work DecodeWork(const ModelConfig& config, int element_bytes,
                const BatchShape& shape);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BENCH_ROOFLINE_H_
