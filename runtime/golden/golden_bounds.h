// How close a run must come to the reference (FORMAT.md 9).
#ifndef BLOCKSERVE_RUNTIME_GOLDEN_GOLDEN_BOUNDS_H_
#define BLOCKSERVE_RUNTIME_GOLDEN_GOLDEN_BOUNDS_H_

#include <string>

#include "runtime/config/model_config.h"
#include "runtime/golden/check_log.h"

namespace blockserve {

struct GoldenBounds {
  bool exact = true;  // fp32: every token, every tensor
  Tolerance logprobs;
  Tolerance tensors;
  // Of lower precision only. A token may differ where the two largest logits
  // were closer than min_gap; after it nothing is compared.
  double min_gap = 0;
  double max_logit_difference = 0;
  double max_logit_rms_difference = 0;
};

inline GoldenBounds BoundsFor(const ModelConfig& config,
                              const std::string& dtype) {
  GoldenBounds bounds;
  if (dtype == "bf16") {
    bounds.exact = false;
    bounds.logprobs = {0.3, 0};
    bounds.min_gap = 0.25;
    bounds.max_logit_difference = 0.6;
    bounds.max_logit_rms_difference = 0.1;
    return bounds;
  }
  const bool is_deep = config.embedder.kind != EmbedderKind::kLookup ||
                       config.token_decoder.kind == TrunkKind::kT5;
  const double absolute = is_deep ? 2e-4 : 1e-4;
  bounds.logprobs = {absolute, 0};
  bounds.tensors = {absolute, 1e-4};
  return bounds;
}

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_GOLDEN_GOLDEN_BOUNDS_H_
