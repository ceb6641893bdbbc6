// Checks of intermediate tensors and logits.
#ifndef BLOCKSERVE_RUNTIME_GOLDEN_TENSOR_CHECKS_H_
#define BLOCKSERVE_RUNTIME_GOLDEN_TENSOR_CHECKS_H_

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "runtime/config/model_config.h"
#include "runtime/golden/check_log.h"
#include "runtime/golden/golden_bounds.h"
#include "runtime/golden/golden_cases.h"
#include "runtime/golden/golden_tensors.h"
#include "runtime/golden/model_runner.h"
#include "runtime/golden/tensor_recorder.h"

namespace blockserve {

// A runner and the recorder that sees its steps.
struct RecordedRunner {
  ModelRunner* runner = nullptr;
  TensorRecorder* recorder = nullptr;
};

// Every tensor the file has (FORMAT.md 8.2). `forward` and `generate` differ in
// their prefix positions. With bounds that are not exact, only logits.
absl::Status CheckTensors(const GoldenTensors& golden,
                          const GoldenBounds& bounds, RecordedRunner forward,
                          RecordedRunner generate, CheckLog& log);

// The logits of `runs` under teacher forcing, in lower precision against fp32.
absl::Status CheckLogitsAgainst(absl::Span<const GoldenRun> runs,
                                const GoldenBounds& bounds,
                                RecordedRunner exact, RecordedRunner lower,
                                CheckLog& log);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_GOLDEN_TENSOR_CHECKS_H_
