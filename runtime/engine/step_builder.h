// Turns a plan into what the model runs.
#ifndef BLOCKSERVE_RUNTIME_ENGINE_STEP_BUILDER_H_
#define BLOCKSERVE_RUNTIME_ENGINE_STEP_BUILDER_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "runtime/model/model.h"
#include "runtime/scheduler/scheduler.h"

namespace blockserve {

// Allocates at construction only.
class StepBuilder {
 public:
  StepBuilder(int tokens_per_step, const ModelLimits& limits);

  // The rows of the chunks in order; every sequence is an ActiveRequest. Valid
  // until the next call or a change to one of the sequences.
  StepInput Build(absl::Span<const PlannedChunk> plan);

 private:
  void AddChunk(const PlannedChunk& planned);
  void AddRow(const Sequence& sequence, int unit);

  const int tokens_per_step_;
  std::vector<SequenceChunk> chunks_;
  std::vector<DecodeRow> rows_;
  int num_tokens_ = 0;
  // tokens_per_step - 1 zeros, then ones: the mask of every padding.
  std::vector<uint8_t> mask_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_ENGINE_STEP_BUILDER_H_
