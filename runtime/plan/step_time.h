// How long a GPU, or several that share a model, must take at least: a roofline
// model of each class of kernels of a step, one after the other. Computed from
// datasheets; no GPU is asked.
#ifndef BLOCKSERVE_RUNTIME_PLAN_STEP_TIME_H_
#define BLOCKSERVE_RUNTIME_PLAN_STEP_TIME_H_

#include "runtime/config/model_config.h"
#include "runtime/plan/gpu_spec.h"

namespace blockserve {

// Elements are bf16.
inline constexpr int kPlanElementBytes = 2;

// Kernels of a layer: norms; product of queries, keys and values; rotary and
// cache; attention; its output; two products of the MLP; residual.
inline constexpr int kKernelsPerLayer = 8;
// Behind a trunk: norm, product with the vocabulary, two of sampling.
inline constexpr int kKernelsPerHead = 4;
// An all-reduce takes the shorter of two ways: every rank reads all others'
// vectors at once, or a ring.
inline constexpr double kOneShotSeconds = 5e-6;
inline constexpr double kRingSeconds = 8e-6;

struct PlanAssumptions {
  GpuSpec gpu;
  double efficiency = 1.0;       // share of every peak that is reached
  double launch_seconds = 2e-6;  // of a kernel inside a CUDA graph
  double memory_share = 0.92;    // for weights, cache and activations
  // Sampling is part of the product with the vocabulary: logits do not go
  // through memory.
  bool fuses_sampling = false;
};

// Ranks that share a model: which part of it each has.
enum class Sharing {
  kAlone,   // one rank
  kTensor,  // heads, MLP columns and vocabulary of both decoders
  kHybrid,  // those of the block decoder; the token decoder is whole on every
            // rank, for a share of the sequences
};

struct StepTime {
  double compute = 0;  // seconds of kernels that FLOP bound
  double memory = 0;   // seconds of kernels that memory bounds
  double launch = 0;
  double exchange = 0;  // between ranks

  double total() const { return compute + memory + launch + exchange; }
  friend StepTime operator*(double factor, const StepTime& time) {
    return {factor * time.compute, factor * time.memory, factor * time.launch,
            factor * time.exchange};
  }
};

// One step of `batch` sequences with `context` cached tokens each on `ranks`
// ranks: tokens_per_step() tokens for each.
StepTime DecodeStepTime(const ModelConfig& config,
                        const PlanAssumptions& assumptions, Sharing sharing,
                        int ranks, double batch, double context);

// All prompts of `batch` sequences, in chunks so large that weights count for
// nothing: seconds of FLOP and of exchange.
StepTime PromptTime(const ModelConfig& config,
                    const PlanAssumptions& assumptions, int ranks, double batch,
                    double prompt_tokens);

// A prompt alone on idle ranks, up to the step that makes its first tokens.
double PromptLatencySeconds(const ModelConfig& config,
                            const PlanAssumptions& assumptions, int ranks,
                            double prompt_tokens);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_PLAN_STEP_TIME_H_
