// Runs one batch of the authors' protocol through an engine: random prompts, no
// end before the last token, the prompts' time counted in.
#ifndef BLOCKSERVE_RUNTIME_BENCH_BATCH_RUN_H_
#define BLOCKSERVE_RUNTIME_BENCH_BATCH_RUN_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/bench/roofline.h"
#include "runtime/engine/engine.h"
#include "runtime/model/model.h"

namespace blockserve {

struct BatchTimes {
  absl::Duration total;  // first request in, last one done
  // Steps that ran prompt units, and all others, each with what lies between
  // it and the step before it.
  absl::Duration prefill;
  absl::Duration decode;
  int64_t decode_tokens = 0;  // written by the latter
  int64_t num_steps = 0;

  BatchTimes& operator+=(const BatchTimes& other);
};

// An engine over one model, run batch by batch. Used by one thread.
class BatchRunner {
 public:
  // `shape` is the largest batch that will be run.
  BatchRunner(std::unique_ptr<Model> model, const BatchShape& shape);
  ~BatchRunner();

  // `seed` says which prompts. The first error of a request, or INTERNAL if one
  // got another number of tokens than it asked for.
  absl::StatusOr<BatchTimes> Run(const BatchShape& shape, uint64_t seed);

 private:
  class StepRecorder;

  const std::unique_ptr<StepRecorder> recorder_;
  const std::unique_ptr<Engine> engine_;  // calls the recorder
  int64_t num_requests_ = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BENCH_BATCH_RUN_H_
