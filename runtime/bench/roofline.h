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

#include <vector>

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

// What a step's kernels are counted by.
enum class WorkKind {
  kLayers,          // linear layers of the trunk with the paged cache, and the
                    // expansion behind it
  kAttention,       // of that trunk
  kTokenLayers,     // linear layers of the token decoder, one pass
  kTokenAttention,  // one pass
  kHead,            // the vocabulary, one token of the block
};

// Kernels of a step that run one after the other.
struct WorkPart {
  WorkKind kind = WorkKind::kLayers;
  Work work;            // bytes: read, as said above
  double kv_bytes = 0;  // written, of keys and values
  double logits = 0;    // elements written and read again if the head and
                        // sampling are kernels of their own
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

// One step of `batch` sequences that have `context` tokens in the cache, in
// order: tokens_per_step() tokens for each.
std::vector<WorkPart> DecodeStepWorkParts(const ModelConfig& config,
                                          int element_bytes, double batch,
                                          double context);

// The work of all of them.
Work DecodeStepWork(const ModelConfig& config, int element_bytes, double batch,
                    double context);

// FLOP of the first `positions` units of a prompt in the trunk with the paged
// cache.
double PromptFlop(const ModelConfig& config, double positions);

// Keys and values of one position of the trunk.
double KvBytesPerPosition(const TrunkConfig& trunk, int element_bytes);

// Elements of the trunk's weights.
double TrunkParameters(const TrunkConfig& trunk);

// Elements of the layer between the decoders; 0 without one.
double ExpansionParameters(const ModelConfig& config);

// All prompts, but for the last unit of each, which the first decode step runs.
Work PrefillWork(const ModelConfig& config, int element_bytes,
                 const BatchShape& shape);

// All decode steps, at the mean of their contexts.
Work DecodeWork(const ModelConfig& config, int element_bytes,
                const BatchShape& shape);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BENCH_ROOFLINE_H_
