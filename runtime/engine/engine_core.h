// The engine without its thread: requests in, steps, results out.
#ifndef BLOCKSERVE_RUNTIME_ENGINE_ENGINE_CORE_H_
#define BLOCKSERVE_RUNTIME_ENGINE_ENGINE_CORE_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "runtime/engine/active_request.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/output_reader.h"
#include "runtime/engine/request_checks.h"
#include "runtime/engine/step_builder.h"
#include "runtime/model/model.h"
#include "runtime/scheduler/scheduler.h"

namespace blockserve {

// Used by one thread at a time. A step of sequences that were admitted before
// allocates nothing beyond what sinks and observers do.
class EngineCore {
 public:
  EngineCore(std::unique_ptr<Model> model, const EngineOptions& options,
             EngineObserver observer, std::function<absl::Time()> clock);

  // Queues a request that passed CheckRequest with request_limits().
  void Add(std::unique_ptr<ActiveRequest> request);

  // Ends what was cancelled or is late, and admits what fits.
  void Schedule();

  // Runs one step of all that is admitted. OnTokens is called from within,
  // OnDone is not.
  void RunStep();

  // Ends all requests with `status`.
  void EndAll(const absl::Status& status);

  // The model works again after it failed. All requests have ended.
  void Recover();

  // Requests that have ended and whose sinks were not told yet.
  absl::Span<const std::unique_ptr<ActiveRequest>> finished() const {
    return finished_;
  }
  // Tells them, forgets them and returns their number.
  int DeliverFinished();

  // Whether nothing waits or runs.
  bool empty() const { return requests_.empty(); }
  EngineLoad load() const;
  // The error after the model failed; all requests end with it then.
  // UNAVAILABLE if the model itself said so (its group is broken), else
  // INTERNAL.
  const absl::Status& health() const { return health_; }
  const Model& model() const { return *model_; }
  const RequestLimits& request_limits() const { return request_limits_; }

 private:
  void TakeOutput(absl::Span<const PlannedChunk> plan, const StepInput& input,
                  const StepOutput& output, absl::Duration duration);
  void Finish(ActiveRequest& request, const absl::Status& status,
              absl::Time now);

  const std::unique_ptr<Model> model_;
  const EngineObserver observer_;
  const std::function<absl::Time()> clock_;
  const RequestLimits request_limits_;
  Scheduler scheduler_;
  StepBuilder step_builder_;
  OutputReader output_reader_;

  std::vector<std::unique_ptr<ActiveRequest>> requests_;  // waiting or running
  std::vector<std::unique_ptr<ActiveRequest>> finished_;
  std::vector<EndedSequence> ended_;  // scratch
  absl::Status health_;
  uint64_t num_steps_ = 0;
  absl::Time last_step_ = absl::InfinitePast();
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_ENGINE_ENGINE_CORE_H_
