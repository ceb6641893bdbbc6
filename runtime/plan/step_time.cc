#include "runtime/plan/step_time.h"

#include <algorithm>
#include <vector>

#include "runtime/bench/roofline.h"

namespace blockserve {
namespace {

// Written once, read once.
constexpr double kPassesOverLogits = 2;

bool IsOfTokenDecoder(const ModelConfig& config, WorkKind kind) {
  return config.family == ModelFamily::kBlockTransformer &&
         kind != WorkKind::kLayers && kind != WorkKind::kAttention;
}

double BytesOf(const WorkPart& part, const PlanAssumptions& assumptions) {
  double bytes = part.work.bytes + part.kv_bytes;
  if (!assumptions.fuses_sampling) {
    bytes += kPassesOverLogits * part.logits * kPlanElementBytes;
  }
  return bytes;
}

// One part shared by `ranks`.
void AddPart(const WorkPart& part, const PlanAssumptions& assumptions,
             int ranks, StepTime& time) {
  const GpuSpec& gpu = assumptions.gpu;
  const double share = ranks * assumptions.efficiency;
  const double compute = part.work.flop / gpu.flop_per_second / share;
  const double memory =
      BytesOf(part, assumptions) / gpu.bytes_per_second / share;
  (compute > memory ? time.compute : time.memory) += std::max(compute, memory);
}

double AllReduceSeconds(double elements, int ranks,
                        const PlanAssumptions& assumptions) {
  if (ranks == 1) return 0;
  const double bandwidth =
      assumptions.gpu.link_bytes_per_second * assumptions.efficiency;
  const double seconds = elements * kPlanElementBytes / bandwidth;
  return std::min(kOneShotSeconds + (ranks - 1) * seconds,
                  kRingSeconds + 2.0 * (ranks - 1) / ranks * seconds);
}

int NumKernels(const ModelConfig& config) {
  const int cached = config.cached_trunk().num_layers * kKernelsPerLayer;
  // The embedding; of a block model also the expansion and its bias.
  if (config.family == ModelFamily::kVanilla) {
    return cached + kKernelsPerHead + 1;
  }
  const int pass =
      config.token_decoder.num_layers * kKernelsPerLayer + kKernelsPerHead + 1;
  return cached + 3 + config.block_length * pass;
}

// One all-reduce a layer, which the parallel residual allows for, and one of
// each head's candidates, counted as a vector.
double ExchangeSeconds(const ModelConfig& config,
                       const PlanAssumptions& assumptions, Sharing sharing,
                       int ranks, double batch) {
  const TrunkConfig& cached = config.cached_trunk();
  double seconds =
      cached.num_layers *
      AllReduceSeconds(batch * cached.hidden_dim, ranks, assumptions);
  if (sharing == Sharing::kHybrid) return seconds;
  const TrunkConfig& decoder = config.token_decoder;
  const double head =
      AllReduceSeconds(batch * decoder.hidden_dim, ranks, assumptions);
  if (config.family == ModelFamily::kVanilla) return seconds + head;
  for (int offset = 0; offset < config.block_length; ++offset) {
    const bool has_prefix = config.strategy == DecodingStrategy::kPrefix;
    const double positions =
        offset == 0 && has_prefix ? config.expansion_ratio : 1;
    seconds += decoder.num_layers *
               AllReduceSeconds(batch * positions * decoder.hidden_dim, ranks,
                                assumptions);
    seconds += head;
  }
  return seconds;
}

}  // namespace

StepTime DecodeStepTime(const ModelConfig& config,
                        const PlanAssumptions& assumptions, Sharing sharing,
                        int ranks, double batch, double context) {
  StepTime time;
  const bool is_hybrid = sharing == Sharing::kHybrid;
  for (const WorkPart& part :
       DecodeStepWorkParts(config, kPlanElementBytes, batch, context)) {
    if (is_hybrid && IsOfTokenDecoder(config, part.kind)) continue;
    AddPart(part, assumptions, ranks, time);
  }
  if (is_hybrid) {
    for (const WorkPart& part : DecodeStepWorkParts(config, kPlanElementBytes,
                                                    batch / ranks, context)) {
      if (IsOfTokenDecoder(config, part.kind)) {
        AddPart(part, assumptions, 1, time);
      }
    }
  }
  time.launch = NumKernels(config) * assumptions.launch_seconds;
  time.exchange = ExchangeSeconds(config, assumptions, sharing, ranks, batch);
  return time;
}

StepTime PromptTime(const ModelConfig& config,
                    const PlanAssumptions& assumptions, int ranks, double batch,
                    double prompt_tokens) {
  const GpuSpec& gpu = assumptions.gpu;
  const TrunkConfig& cached = config.cached_trunk();
  const double positions = prompt_tokens / config.tokens_per_step();
  double flop = PromptFlop(config, positions);
  if (config.family == ModelFamily::kVanilla) {
    flop += 2.0 * cached.vocab_size * cached.hidden_dim;
  }
  StepTime time;
  time.compute =
      batch * flop / ranks / (gpu.flop_per_second * assumptions.efficiency);
  if (ranks > 1) {
    time.exchange = cached.num_layers * batch * 2.0 * (ranks - 1) / ranks *
                    positions * cached.hidden_dim * kPlanElementBytes /
                    (gpu.link_bytes_per_second * assumptions.efficiency);
  }
  return time;
}

double PromptLatencySeconds(const ModelConfig& config,
                            const PlanAssumptions& assumptions, int ranks,
                            double prompt_tokens) {
  const TrunkConfig& cached = config.cached_trunk();
  const StepTime prompt =
      PromptTime(config, assumptions, ranks, 1, prompt_tokens);
  const double weights =
      TrunkParameters(cached) * kPlanElementBytes / ranks /
      (assumptions.gpu.bytes_per_second * assumptions.efficiency);
  const double positions = prompt_tokens / config.tokens_per_step();
  const double exchange =
      cached.num_layers *
      AllReduceSeconds(positions * cached.hidden_dim, ranks, assumptions);
  return std::max(prompt.compute, weights) + exchange +
         cached.num_layers * kKernelsPerLayer * assumptions.launch_seconds;
}

}  // namespace blockserve
