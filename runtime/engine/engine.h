// Continuous batching at step boundaries over one model.
#ifndef BLOCKSERVE_RUNTIME_ENGINE_ENGINE_H_
#define BLOCKSERVE_RUNTIME_ENGINE_ENGINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/model/model.h"
#include "runtime/request/request.h"

namespace blockserve {

struct EngineOptions {
  int max_waiting_requests = 256;
  int64_t max_waiting_prompt_tokens = 1 << 20;
  int max_context_tokens = 2048;  // prompt + max_tokens, per sequence
};

// What a router or a gauge wants to know; consistent as of the last step.
struct EngineLoad {
  int num_running = 0;
  int num_waiting = 0;
  int64_t waiting_prompt_tokens = 0;
  int pages_used = 0;
  int pages_total = 0;
  int scratch_slots_used = 0;
  int scratch_slots_total = 0;
  uint64_t num_steps = 0;
  absl::Time last_step;
};

// Facts about one step and one ended request, for metrics. Called on the
// engine's thread.
struct StepStats {
  absl::Duration duration;
  int num_sequences = 0;
  int num_prompt_units = 0;
  int num_rows = 0;
  int wasted_tokens = 0;  // computed after a stop or for padding
};
struct EngineObserver {
  std::function<void(const StepStats&)> on_step;
  std::function<void(const RequestResult&)> on_done;
};

// Runs the model on a thread of its own. Admission reserves the pages of
// prompt + max_tokens, so a running sequence is never evicted. Thread-safe.
class Engine {
 public:
  // Starts the thread.
  static std::unique_ptr<Engine> Create(std::unique_ptr<Model> model,
                                        const EngineOptions& options,
                                        EngineObserver observer = {});
  // Ends what still runs with CANCELLED, then joins.
  virtual ~Engine() = default;

  // Queues a request; `sink` is kept until its OnDone returned, and may call
  // anything here but Drain. When OnDone is called the request's pages are free
  // and its id may be used again. On an error the sink is not called:
  //   INVALID_ARGUMENT    parameters (all violations in the message), ids out
  //                       of range, empty prompt or request_id, prompt +
  //                       max_tokens more than the context or than the cache
  //                       can ever hold
  //   ALREADY_EXISTS      request_id is running
  //   RESOURCE_EXHAUSTED  the queue is full
  //   UNAVAILABLE         draining, suspended or failed
  virtual absl::Status Generate(GenerateRequest request,
                                std::shared_ptr<RequestSink> sink) = 0;
  virtual absl::Status Score(ScoreRequest request,
                             std::shared_ptr<RequestSink> sink) = 0;

  // Ends a request with CANCELLED within one step, in whatever state it is;
  // unknown ids are ignored.
  virtual void Abort(std::string_view request_id) = 0;

  // Refuses new requests; returns when none is left. At `deadline` the rest is
  // ended with UNAVAILABLE, within one step.
  virtual void Drain(absl::Time deadline) = 0;

  // The model cannot run for now (its group of ranks is broken): ends all that
  // waits or runs with `why`, refuses what comes with it, and returns when the
  // last sink was told: no step runs then, nor will one before Resume. Whoever
  // suspends sees to it that a step under way ends. `why` is UNAVAILABLE.
  virtual void Suspend(const absl::Status& why) = 0;
  // The model runs again, with an empty cache.
  virtual void Resume() = 0;

  virtual EngineLoad load() const = 0;
  // OK while the engine serves; the error after the model failed or while it is
  // suspended.
  virtual absl::Status health() const = 0;
  virtual const Model& model() const = 0;
  virtual const EngineOptions& options() const = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_ENGINE_ENGINE_H_
